"""From the head's score to the final score: compares a camera with itself, and learns the threshold for its budget.

Pure. A bundle without `calibration` in its manifest (an older one, or one with a head of the user) is not calibrated:
the final score is the head's own, and the threshold is fixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray
from engine.manifest import Manifest
from stream.alarm.alarm_budget import ThresholdChange
from stream.alarm.calibration import Calibration
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, number
from stream.alarm.lookalikes import LookAlikes, LookAlikeSettings
from stream.alarm.requests import JudgedEvent, Verdict
from stream.alarm.rule import AlarmSettings
from stream.alarm.threshold import Budget
from stream.archive.score_epoch import Scale
from stream.base.errors import UsageError

_DAY: Final = 86_400.0
_SURE: Final = 1e-6  # a head's score is that far from 0 and 1 at least, as logits go
_REMEMBERED: Final = 64  # alarms whose features wait for a verdict


def calibration_of(manifest: Manifest) -> CalibrationSettings | None:
    """The bundle's statistics of cameras in general, or None. Raises UsageError for invalid ones."""
    if manifest.calibration is None:
        return None
    try:
        return CalibrationSettings.from_mapping(manifest.calibration)
    except (CalibrationError, TypeError) as error:
        raise UsageError(f"--bundle: the manifest's calibration cannot be used: {error}") from None


@dataclass(frozen=True)
class LearntScore:
    """`score` in [0, 1] is final.

    `level` is what the head's logit was compared with: middle, spread, and everything that was added; None without
    calibration.
    """

    score: float
    level: tuple[float, float, float] | None = None


class ScoreLearner:
    """What one camera has learned. `settings` None: its bundle is not calibrated."""

    def __init__(self, settings: CalibrationSettings | None, alarm: AlarmSettings) -> None:
        self._settings = settings
        self._alarm = alarm
        self._calibration = None if settings is None else Calibration(settings, alarm, _budget(alarm))
        self._lookalikes = LookAlikes(LookAlikeSettings(days=alarm.lookalike_days))
        self._features: dict[str, FloatArray] = {}
        self._ahead = 0.0  # seconds by which clips are ahead of the calibration's own time
        self._resumes = False  # the next clip follows what was learned, however long ago that was

    @property
    def scale(self) -> Scale:
        """The scale of its scores and thresholds."""
        return "calibrated" if self.learns else "raw"

    @property
    def learns(self) -> bool:
        """Whether the bundle is calibrated."""
        return self._calibration is not None

    def score(self, start: float, end: float, raw: float, feature: FloatArray, *, learn: bool) -> LearntScore:
        """The final score of the next clip; `feature` (crops, C), `learn` False within an alarm."""
        if self._calibration is None:
            return LearntScore(raw)
        mean = np.asarray(feature.mean(axis=0), np.float32)
        inside = min(max(raw, _SURE), 1 - _SURE)
        logit = math.log(inside / (1 - inside))
        bonus = self._lookalikes.bonus(mean, start)
        self._follow(start)
        middle, spread = self._calibration.ordinary.transform
        begin, until = start - self._ahead, end - self._ahead
        found = self._calibration.observe(begin, until, logit, mean, learn=learn, bonus=bonus)
        return LearntScore(found.score, (middle, spread, found.z - (logit - middle) / spread))

    def on_tour(self, time: float) -> bool:
        """Whether the camera shows several scenes in turn, each of which has its own level."""
        return self._calibration is not None and self._calibration.ordinary.scenes.on_tour(time - self._ahead)

    def interrupt(self) -> None:
        """The next clip does not follow the last one."""
        if self._calibration is not None:
            self._calibration.interrupt()

    @property
    def configured(self) -> AlarmSettings:
        """The alarm settings, in which a learned threshold is only a start value."""
        return self._alarm

    def in_force(self) -> AlarmSettings:
        """The alarm settings with the threshold that holds now."""
        if self._calibration is None or not self._alarm.learnt:
            return self._alarm
        return replace(self._alarm.with_threshold(self._calibration.threshold.score), learnt=True)

    def notice_in_force(self) -> AlarmSettings | None:
        """The same with the threshold of notices; None where there are none, or none below an alarm's."""
        notice = None if self._calibration is None else self._calibration.notice
        if notice is None or notice.score >= self.in_force().threshold_on:
            return None
        return self._alarm.with_threshold(notice.score)

    def configure(self, alarm: AlarmSettings, time: float) -> None:
        """Change the settings: another budget, or a fixed threshold."""
        if alarm.lookalike_days != self._alarm.lookalike_days:
            self._lookalikes.settings = LookAlikeSettings(days=alarm.lookalike_days)
        self._alarm = alarm
        if self._calibration is not None and self._calibration.alarms.budget != _budget(alarm):
            self._calibration.set_budget(_budget(alarm), time - self._ahead)

    def changes(self) -> list[ThresholdChange]:
        """How the threshold has changed since the last call."""
        return [] if self._calibration is None else self._calibration.take_changes()

    def state(self) -> dict[str, Any]:
        """The payload of `calibration/state` (docs/mqtt.md)."""
        if self._calibration is not None:
            return self._calibration.state()
        return {"mode": "fixed", "state": "settled", "hours": 0.0, "per_day": None, "low": None, "high": None}

    # verdicts

    def alarm_began(self, event: str, feature: FloatArray, time: float) -> str | None:
        """Remember the feature of an alarm, (crops, C). Returns the event, marked as a false alarm, that it
        resembles.
        """
        if self._calibration is None:  # no calibration: scored as before, and verdicts teach nothing
            return None
        mean = np.asarray(feature.mean(axis=0), np.float32)
        while len(self._features) >= _REMEMBERED:
            del self._features[next(iter(self._features))]
        self._features[event] = mean
        return self._lookalikes.match(mean, time)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Those that were learned, by event."""
        return self._lookalikes.verdicts

    def judged(self, judged: JudgedEvent) -> bool:
        """Learn from a verdict. Returns whether there was anything to learn from."""
        if self._calibration is None:
            return False
        before = self.verdicts.get(judged.event)
        if judged.verdict is None:
            return self._lookalikes.revoke(judged.event)
        feature = self._features.get(judged.event)
        if feature is None and judged.feature is not None:
            feature = np.asarray(judged.feature.mean(axis=0), np.float32)
        if feature is None:
            return False
        self._lookalikes.add(judged.event, judged.verdict, feature, judged.at)
        if judged.verdict == "true" != before:
            self._calibration.excuse(judged.start - self._ahead, judged.top_score)
        return True

    # over a restart

    def to_json(self) -> dict[str, Any] | None:
        """What was learned; None without calibration."""
        if self._calibration is None:
            return None
        kept = {"calibration": self._calibration.to_json(), "lookalikes": self._lookalikes.to_json()}
        return kept | {"ahead": self._ahead}

    def resume(self, kept: object) -> None:
        """Start from what `to_json` returned, as if no time had passed since: the calibration may be of a recording,
        whose time begins at 0. The hour of the day stays. Raises as `recall` does.
        """
        self.recall(kept)
        self._ahead, self._resumes = 0.0, True

    def _follow(self, start: float) -> None:
        """The next clip begins at `start`."""
        newest = None if self._calibration is None else self._calibration.newest
        if self._resumes and newest is not None:
            self._ahead = math.ceil((start - newest[1]) / _DAY) * _DAY
        self._resumes = False

    def recall(self, kept: object) -> None:
        """Continue from what `to_json` returned. Raises CalibrationError for anything else, and then changes
        nothing.
        """
        if self._settings is None:
            raise CalibrationError("calibration: this bundle does not support calibration")
        if not isinstance(kept, dict) or kept.keys() - {"ahead"} != {"calibration", "lookalikes"}:
            raise CalibrationError("calibration: not a stored state of a camera")
        settings = LookAlikeSettings(days=self._alarm.lookalike_days)
        ahead = number(kept.get("ahead", 0.0), "ahead")
        found = Calibration.from_json(kept["calibration"], self._settings, self._alarm, _budget(self._alarm))
        self._lookalikes = LookAlikes.from_json(kept["lookalikes"], settings)
        self._calibration, self._ahead = found, ahead


def _budget(alarm: AlarmSettings) -> Budget:
    return Budget(alarm.false_alarms_per_day, None if alarm.learnt else alarm.threshold_on, alarm.notices)
