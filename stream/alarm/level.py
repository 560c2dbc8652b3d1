"""A camera's own level: robust location and spread of its ordinary logits, over hours, and by hour of the day.

The location is a median over hours that forgets, minus what the hour of the day explains. It starts at the prior and
moves at most `reach` from it in the first ten minutes, and at most `step_per_hour` in each hour of evidence after that,
so that trouble that grows slowly is not learned as normal. While the history is short, the spread is drawn to that of
other cameras.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import members, number, pack, unpack
from stream.alarm.histogram import ForgettingHistogram

HOUR: Final = 3_600.0
_HOURS: Final = 24
_FIRST: Final = 600.0  # seconds of evidence
_SPREAD_STEP: Final = 1.1  # the spread changes at most by this factor in an hour of evidence
_KNOWN_HOUR: Final = 1_200.0  # seconds of evidence from which on an hour of the day changes the profile
_MOST_PROFILE: Final = 6.0  # prior spreads
_MOST_BREATHING: Final = 1.0  # of the logarithm of the spread
_MIDDLE: Final = (0.16, 0.5, 0.84)
_KEYS: Final = (
    "recent", "hour", "profile", "breathing", "location", "spread", "anchor", "anchor_spread", "anchored", "learnt",
    "newest", "bounded",
)  # fmt: skip


class Level:
    """One scene of one camera. Internally, logits are in spreads of the prior, from the prior's location.

    `learnt`: seconds of evidence. `bounded`: the location would be elsewhere, but must not move so fast.
    """

    def __init__(self, settings: CalibrationSettings) -> None:
        self._settings = settings
        self._recent = ForgettingHistogram()
        self._hour = ForgettingHistogram()  # of the current hour
        self._profile = np.zeros(_HOURS)  # what the hour of the day adds to the location
        self._breathing = np.zeros(_HOURS)  # and to the logarithm of the spread
        self.location = 0.0
        self.spread = 1.0
        self._anchor = 0.0
        self._anchor_spread = 1.0
        self._anchored = 0  # the hour of evidence, after the first minutes, at which the anchor was set
        self.learnt = 0.0
        self._newest: float | None = None
        self.bounded = False

    def transform(self, time: float) -> tuple[float, float]:
        """(a, b): at `time` a logit x is z = (x - a) / b."""
        settings = self._settings
        hours = self.learnt / HOUR
        grown = hours / (hours + settings.weight_hours)
        weight = settings.location_weight + grown * (settings.location_weight_settled - settings.location_weight)
        offset, breathing = self._of_the_day(time)
        # the level of a little-known camera is uncertain, so its clips must stand out by more
        unknown = settings.prior_seconds / (settings.prior_seconds + self.learnt)
        middle = weight * (self.location + offset) + settings.caution * unknown
        return settings.location + settings.spread * middle, settings.spread * self.spread * math.exp(breathing)

    def learn(self, time: float, logits: NDArray[np.float64], seconds: float) -> None:
        """Take ordinary logits (n,) of a minute or less that ended at `time` and lasted `seconds`; n may be 0."""
        if self._newest is not None and time > self._newest:
            passed = time - self._newest
            self._recent.decay(0.5 ** (passed / (self._settings.half_life_hours * HOUR)))
            if int(time // HOUR) != int(self._newest // HOUR):
                self._end_hour(self._newest)
        self._newest = time
        if not len(logits):
            return
        offset, breathing = self._of_the_day(time)
        units = (logits - self._settings.location) / self._settings.spread
        units = (units - offset) * math.exp(-breathing)
        each = seconds / len(logits)
        self._recent.add(units, each)
        self._hour.add(units, each)
        self.learnt += seconds
        self._estimate(each)

    def _estimate(self, each: float) -> None:
        """Location and spread from what is remembered; `each` is a clip's seconds."""
        settings = self._settings
        low, middle, high = self._recent.quantiles(_MIDDLE)
        clips = self._recent.total / max(each, 1e-3)
        goal = middle * clips / (clips + settings.prior_clips)
        hours = 0 if self.learnt < _FIRST else 1 + int((self.learnt - _FIRST) // HOUR)
        if hours != self._anchored:
            self._anchor, self._anchor_spread, self._anchored = self.location, self.spread, hours
        reach = settings.step_per_hour if hours else settings.reach * settings.between / settings.spread
        self.location = min(max(goal, self._anchor - reach), self._anchor + reach)
        self.bounded = bool(abs(goal - self.location) > 0.5)
        evidence = self._recent.total / HOUR
        share = evidence / (evidence + settings.spread_prior_hours)
        own = max((high - low) / 2, 1e-3)
        goal = min(max(own**share, settings.spread_least), settings.spread_most)
        self.spread = min(max(goal, self._anchor_spread / _SPREAD_STEP), self._anchor_spread * _SPREAD_STEP)

    def _end_hour(self, ended: float) -> None:
        """The profile takes over part of the difference between the hour that ended and the last hours."""
        hour = int(ended // HOUR) % _HOURS
        if self._hour.total >= _KNOWN_HOUR and self.learnt >= 6 * HOUR:
            gain, bound = self._settings.profile_gain, self._settings.step_per_hour
            low, middle, high = self._hour.quantiles(_MIDDLE)
            all_low, all_middle, all_high = self._recent.quantiles(_MIDDLE)
            step = gain * (middle - all_middle) * math.exp(float(self._breathing[hour]))
            wider = gain * math.log(max(high - low, 1e-3) / max(all_high - all_low, 1e-3))
            self._profile[hour] += min(max(step, -bound), bound)
            self._breathing[hour] += min(max(wider, -0.2), 0.2)
            # only differences between hours: what they share belongs to location and spread
            self._profile -= self._profile.mean()
            self._breathing -= self._breathing.mean()
            np.clip(self._profile, -_MOST_PROFILE, _MOST_PROFILE, out=self._profile)
            np.clip(self._breathing, -_MOST_BREATHING, _MOST_BREATHING, out=self._breathing)
        self._hour.clear()

    def _of_the_day(self, time: float) -> tuple[float, float]:
        """What the time of day adds to location and log spread, linear between the middles of hours."""
        place = time / HOUR - 0.5
        before = math.floor(place)
        part = place - before
        first, second = int(before) % _HOURS, (int(before) + 1) % _HOURS
        location = (1 - part) * self._profile[first] + part * self._profile[second]
        return float(location), float((1 - part) * self._breathing[first] + part * self._breathing[second])

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "recent": self._recent.to_json(),
            "hour": self._hour.to_json(),
            "profile": pack(self._profile),
            "breathing": pack(self._breathing),
            "location": self.location,
            "spread": self.spread,
            "anchor": self._anchor,
            "anchor_spread": self._anchor_spread,
            "anchored": self._anchored,
            "learnt": self.learnt,
            "newest": self._newest,
            "bounded": self.bounded,
        }

    @classmethod
    def from_json(cls, value: object, settings: CalibrationSettings) -> Level:
        """Raises CalibrationError for invalid content."""
        given = members(value, "level", _KEYS)
        found = cls(settings)
        found._recent = ForgettingHistogram.from_json(given["recent"], "level recent")
        found._hour = ForgettingHistogram.from_json(given["hour"], "level hour")
        found._profile = unpack(given["profile"], "level profile", "<f8", (_HOURS,))
        found._breathing = unpack(given["breathing"], "level breathing", "<f8", (_HOURS,))
        found.location = number(given["location"], "level location", -1e6, 1e6)
        found.spread = number(given["spread"], "level spread", 1e-3, 1e6)
        found._anchor = number(given["anchor"], "level anchor", -1e6, 1e6)
        found._anchor_spread = number(given["anchor_spread"], "level anchor_spread", 1e-3, 1e6)
        found._anchored = int(number(given["anchored"], "level anchored", 0))
        found.learnt = number(given["learnt"], "level learnt", 0)
        found._newest = None if given["newest"] is None else number(given["newest"], "level newest")
        found.bounded = bool(given["bounded"])
        return found
