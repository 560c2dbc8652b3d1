"""Constants of the calibration: what is assumed of an unknown camera, and how fast its own values are learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Self

from stream.alarm.codec import CalibrationError, number


@dataclass(frozen=True)
class CalibrationSettings:
    """The prior comes from the bundle's manifest; the rest are defaults that a manifest may override.

    "Spread" is half the width of the middle 68 % of a camera's ordinary logits. `z` is a logit minus (part of) the
    camera's own level, divided by its spread. Raises CalibrationError for invalid values.
    """

    # the prior: cameras in general
    location: float = -2.0  # middle of the cameras' median logits
    between: float = 0.8  # standard deviation of the cameras' medians, logits
    spread: float = 0.5  # of the middle camera, logits
    tail: tuple[tuple[float, float], ...] = ((2.5, 1400.0), (3.0, 615.0), (4.0, 123.0), (5.0, 41.0), (8.0, 1.5))
    # ^ alarms per day of ordinary footage at a threshold in spreads: (z, per day), rising in z

    # level
    prior_clips: float = 20.0  # weight of the prior's location, in clips
    spread_prior_hours: float = 6.0  # weight of the prior's spread, in hours of evidence
    spread_least: float = 0.7  # of the prior's spread
    spread_most: float = 3.0
    location_weight: float = 0.7  # share of the camera's own location that is subtracted while its history is short
    location_weight_settled: float = 0.9  # and once it is long
    weight_hours: float = 12.0  # half-way between the two
    half_life_hours: float = 6.0  # of the level's memory
    caution: float = 0.0  # spreads that are subtracted while nothing is known of a camera
    reach: float = 2.0  # in `between`: how far the location moves from the prior within ten minutes
    step_per_hour: float = 0.4  # in prior spreads: how far it moves in an hour of evidence after that
    profile_gain: float = 0.3  # share of the deviation of an hour of the day that is learned at each visit
    block_seconds: float = 60.0  # the level is constant for so long
    guard_seconds: float = 20.0  # nothing is learned so long before and after an alarm
    relearn_seconds: float = 1_800.0  # an alarm that lasts longer is a new level, and is learned

    # scenes of one camera (pan-tilt-zoom tours)
    scenes: int = 4
    scene_distance: float = 0.02  # cosine distance of features beyond which it may be another scene
    scene_seconds: float = 20.0

    # novelty
    feature_power: float = 0.5  # features are raised to this power before they are compared
    sketch: int = 256  # numbers that a feature is reduced to
    memory: int = 256  # ordinary features that are kept
    memory_seconds: float = 4.0  # between two of them at first
    memory_per_hour: float = 12.0  # later
    memory_days: float = 14.0  # a feature that nothing has resembled for so long is dropped
    novelty_weight: float = 0.0  # 0: remembered and reported, but not part of the score (benchmarks/budget.md)
    novelty_after: int = 20  # number of remembered features from which on novelty counts
    novelty_limit: float = 8.0
    novelty_least: float = 0.002  # the spread of distances is at least this

    # score
    smoothing: int = 2  # z is the mean over so many clips
    score_middle: float = 4.0  # z at which the score is 0.5
    score_width: float = 1.0

    # threshold
    threshold_least: float = 2.5  # in z; no lower one is learned
    threshold_most: float = 40.0
    tail_prior_days: float = 3.0  # weight of the prior's tail, in days of evidence
    half_life_days: float = 10.0  # of the memory of alarms
    settled_hours: float = 24.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "tail":
                number(value, f"setting {item.name}", -1e6 if item.name in ("location", "score_middle") else 0.0, 1e6)
        for name in ("spread", "between", "spread_least", "half_life_hours", "half_life_days", "block_seconds",
                     "score_width", "tail_prior_days", "novelty_least", "threshold_least", "weight_hours",
                     "spread_prior_hours", "prior_clips"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise CalibrationError(f"calibration: setting {name} is {getattr(self, name)!r}, must be above 0")
        if self.threshold_most <= self.threshold_least:
            raise CalibrationError("calibration: setting threshold_most is not above threshold_least")
        for name, least, most in (("scenes", 1, 8), ("sketch", 16, 1024), ("memory", 4, 256), ("smoothing", 1, 32)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise CalibrationError(f"calibration: setting {name} is {value!r}, must be from {least} to {most}")
        rows = [(number(z, "setting tail", 0.0), number(rate, "setting tail", 1e-9)) for z, rate in self.tail]
        if len(rows) < 2 or any(b[0] <= a[0] or b[1] >= a[1] for a, b in pairwise(rows)):
            raise CalibrationError(
                "calibration: setting tail must have at least two rows, with rising z and falling rate"
            )

    @property
    def prior_seconds(self) -> float:
        """`prior_clips` in seconds of 25 frames each."""
        return self.prior_clips * 0.64

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """From a JSON object, as in a bundle's manifest; missing keys keep their defaults.

        Raises CalibrationError for an unknown key or an invalid value.
        """
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise CalibrationError(f"calibration: unknown setting {unknown[0]}")
        values = dict(given)
        if "tail" in values:
            try:
                values["tail"] = tuple((z, rate) for z, rate in values["tail"])
            except (TypeError, ValueError):
                raise CalibrationError("calibration: setting tail is not a list of [z, per day]") from None
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"tail": [list(row) for row in self.tail]}

    def score(self, z: float) -> float:
        """The score in (0, 1) of a calibrated logit."""
        exponent = (z - self.score_middle) / self.score_width
        if exponent >= 0:
            return min(1 / (1 + math.exp(-min(exponent, 700.0))), 1 - 2**-53)
        grown = math.exp(max(exponent, -700.0))
        return grown / (1 + grown)

    def z_of(self, score: float) -> float:
        """The calibrated logit of a score; scores of 0 and 1 are replaced by the closest ones that have one."""
        inside = min(max(score, 1e-12), 1 - 1e-12)
        return self.score_middle + self.score_width * math.log(inside / (1 - inside))
