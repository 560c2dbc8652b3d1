"""What one camera has learned about itself, and the resulting score: level, novelty, threshold. Pure.

    logit -> (own level, own spread) -> + novelty -> mean over the last clips -> z -> score in (0, 1)

`observe` takes every clip in order. The same clips give bit-identical results, also if `to_json` and `from_json` are
used in between. A state of 256 features, 4 scenes and two months takes less than 300 KB as JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from engine.arrays import FloatArray
from stream.alarm import ordinary
from stream.alarm.alarm_budget import AlarmBudget, ThresholdChange
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, items, members, number, optional_number, pair
from stream.alarm.ordinary import Ordinary
from stream.alarm.rule import AlarmSettings
from stream.alarm.sketch import sketch
from stream.alarm.threshold import Budget, Threshold

SCHEMA: Final = 1
_GAP: Final = 5.0  # seconds without clips: a new connection
_KEYS: Final = ("schema", "settings", "channels", "alarms", "smoothed", "ringing_since", "newest", *ordinary.KEYS)


@dataclass(frozen=True)
class Calibrated:
    """The `score` in (0, 1) of a clip, and its parts: `z`, of which `novelty` comes from the features.

    `known`: the camera's own level is used, not only the prior.
    """

    score: float
    z: float
    novelty: float
    known: bool


class Calibration:
    """The learned state of one camera; times are seconds of the camera's clips."""

    def __init__(self, settings: CalibrationSettings, rule: AlarmSettings, budget: Budget | None = None) -> None:
        self.settings = settings
        self.alarms = AlarmBudget(settings, rule, budget or Budget())
        self._channels: int | None = None
        self._begin()

    def _begin(self) -> None:
        self.ordinary = Ordinary(self.settings)
        self.smoothed: deque[float] = deque(maxlen=self.settings.smoothing)  # z of the last clips, each alone
        self._ringing_since: float | None = None
        self.newest: tuple[float, float] | None = None  # start and end of the newest clip

    @property
    def notice(self) -> Threshold | None:
        """That of notices; None: there are none."""
        return self.alarms.notice

    @property
    def threshold(self) -> Threshold:
        """The one in force."""
        return self.alarms.threshold

    def observe(
        self,
        start: float,
        end: float,
        logit: float,
        feature: FloatArray | None = None,
        *,
        learn: bool = True,
        bonus: float = 0.0,
    ) -> Calibrated:
        """Score the next clip, and learn from it unless it lies in an alarm (`learn` False).

        `feature`: (C,) float32, the same C always; `bonus`: spreads to add, as by `LookAlikes.bonus`. Raises ValueError
        for a clip that does not last, a number that is not finite and a feature of another length; nothing is changed.
        """
        if not (math.isfinite(start) and math.isfinite(end) and end > start):
            raise ValueError(f"clip from {start} to {end} does not last")
        vector = self._checked(logit, feature)
        self._follow_clock(start)
        self.newest = (start, end)
        learn = self._relearnt(start, learn=learn)
        if vector is not None and feature is not None:
            self._channels = len(feature)
            self._watch_scene(vector, start, end, learn=learn)
        own, novelty = self.ordinary.z(logit, vector)
        alone = own + bonus
        z = self._mean(alone)
        self.smoothed.append(alone)
        known = self.ordinary.known
        self.ordinary.add(start, end, logit, alone, vector, learn=learn)
        self.ordinary.learn_due(self.threshold.z)
        self.alarms.advance(start, end, z, drifting=self.ordinary.level.bounded)
        return Calibrated(self.settings.score(z), z, novelty, known)

    def score(self, logit: float, feature: FloatArray | None = None, bonus: float = 0.0) -> Calibrated:
        """What `observe` would return for this clip, without changing anything (for clips that overlap those of the
        window).
        """
        own, novelty = self.ordinary.z(logit, self._checked(logit, feature))
        z = self._mean(own + bonus)
        return Calibrated(self.settings.score(z), z, novelty, self.ordinary.known)

    def interrupt(self) -> None:
        """A new connection: pending clips are learned, and nothing is smoothed or counted across it."""
        self.ordinary.learn_all(self.threshold.z)
        self.smoothed.clear()
        self._ringing_since = None
        self.alarms.counts.interrupt()

    def forget(self, time: float, why: str = "the scene moved") -> None:
        """Start again from the prior."""
        self._begin()
        self.alarms.forget(time, why)

    def set_budget(self, budget: Budget, time: float) -> None:
        """Another budget, or a fixed threshold, from now on."""
        self.alarms.set(budget, time)

    def excuse(self, time: float, score: float) -> None:
        """The alarm that began at `time` and reached `score` was a true one, so it does not count against the
        budget.
        """
        self.alarms.counts.excuse(time, self.settings.z_of(score))

    def take_changes(self) -> list[ThresholdChange]:
        """How the threshold has changed since the last call, for the log."""
        return self.alarms.take_changes()

    def state(self) -> dict[str, Any]:
        """The payload of `mgfn/<camera>/calibration/state` (docs/mqtt.md)."""
        return self.alarms.state()

    def _checked(self, logit: float, feature: FloatArray | None) -> FloatArray | None:
        """The sketch of the feature."""
        if not math.isfinite(logit):
            raise ValueError(f"logit is {logit}, not a finite number")
        if feature is None:
            return None
        vector = sketch(feature, self.settings.sketch, self.settings.feature_power)
        if self._channels not in (None, len(feature)):
            raise ValueError(f"feature has {len(feature)} channels, this calibration knows {self._channels}")
        return vector

    def _mean(self, alone: float) -> float:
        before = [*self.smoothed][-(self.settings.smoothing - 1) :] if self.settings.smoothing > 1 else []
        return (sum(before) + alone) / (len(before) + 1)

    def _follow_clock(self, start: float) -> None:
        """After a gap, or if the clock was set back, the next clip does not follow the previous one."""
        if self.newest is None or self.newest[0] <= start <= self.newest[1] + _GAP:
            return
        self.interrupt()
        if start < self.newest[0]:
            self.ordinary.pending.end_alarm()

    def _relearnt(self, start: float, *, learn: bool) -> bool:
        """Whether to learn: outside alarms, and during an alarm that lasts so long that it is a new level."""
        if learn:
            self._ringing_since = None
            return True
        self._ringing_since = start if self._ringing_since is None else self._ringing_since
        if start - self._ringing_since < self.settings.relearn_seconds:
            return False
        self.ordinary.pending.end_alarm()
        return True

    def _watch_scene(self, vector: FloatArray, start: float, end: float, *, learn: bool) -> None:
        change = self.ordinary.watch_scene(vector, start, end, learn=learn)
        if change is None:
            return
        self.smoothed.clear()
        if change == "new":
            self.alarms.tell(
                start, f"new scene; {len(self.ordinary.scenes)} scenes are shown in turn, each with its own level"
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, less than 300 KB."""
        return {
            "schema": SCHEMA,
            "settings": _fingerprint(self.settings),
            "channels": self._channels,
            "alarms": self.alarms.to_json(),
            "smoothed": list(self.smoothed),
            "ringing_since": self._ringing_since,
            "newest": None if self.newest is None else list(self.newest),
            **self.ordinary.to_json(),
        }

    @classmethod
    def from_json(
        cls, value: object, settings: CalibrationSettings, rule: AlarmSettings, budget: Budget | None = None
    ) -> Calibration:
        """Raises CalibrationError, in one line, for another schema, other settings or invalid content.

        With another budget than it was written with, the threshold is learned again from the counts.
        """
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            schema = value.get("schema") if isinstance(value, dict) else None
            raise CalibrationError(f"calibration: schema is {schema!r}, expected {SCHEMA}")
        given = members(value, "state", _KEYS)
        if given["settings"] != _fingerprint(settings):
            raise CalibrationError("calibration: learned with settings that differ from those of this bundle")
        found = cls(settings, rule, budget)
        channels = given["channels"]
        found._channels = None if channels is None else int(number(channels, "channels", 1, 100_000))
        length = 0 if found._channels is None else min(found._channels, settings.sketch)
        found.ordinary = Ordinary.from_json(given, settings, length)
        found.alarms = AlarmBudget.from_json(given["alarms"], settings, rule, found.alarms.budget)
        found.smoothed.extend(number(z, "smoothed") for z in items(given["smoothed"], "smoothed", settings.smoothing))
        found._ringing_since = optional_number(given["ringing_since"], "ringing_since")
        found.newest = None if given["newest"] is None else pair(given["newest"], "newest")
        return found


def _fingerprint(settings: CalibrationSettings) -> str:
    text = json.dumps(settings.to_mapping(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
