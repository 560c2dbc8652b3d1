"""The threshold in force for one camera: learned every hour and after each alarm, with a reason for every change."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, flag, items, members, number
from stream.alarm.rule import AlarmSettings
from stream.alarm.tail import AlarmCounts
from stream.alarm.threshold import Budget, State, Threshold, learnt_threshold

_HOUR: Final = 3_600.0
_NOTABLE: Final = 0.02  # of the score
_NEAR: Final = 0.9  # of the threshold: an alarm this high may change it
_MOST_CHANGES: Final = 32
_KEYS: Final = ("counts", "budget", "threshold", "told")


@dataclass(frozen=True)
class ThresholdChange:
    """The threshold (a score) or its state changed at `time`; `why` is a short reason for the log."""

    time: float
    old: float
    new: float
    state: State
    why: str


class AlarmBudget:
    """Keeps `budget`; `threshold` is the one in force, `notice` that of notices (None: there are none)."""

    def __init__(self, settings: CalibrationSettings, rule: AlarmSettings, budget: Budget) -> None:
        self._settings = settings
        self._rule = rule
        self.budget = budget
        self.counts = AlarmCounts(settings, rule)
        self._learn()
        self._told = (self.threshold.score, self.threshold.state)
        self._changes: deque[ThresholdChange] = deque(maxlen=_MOST_CHANGES)

    def advance(self, start: float, end: float, z: float, *, drifting: bool) -> None:
        """Count the next clip of calibrated logit `z`; learn the threshold again when an hour or an alarm ends."""
        hour = int(self.counts.newest // _HOUR) if self.counts.watched else None
        rung = self.counts.advance(start, end, z)
        lowest = self.threshold.z if self.notice is None else min(self.threshold.z, self.notice.z)
        near = rung and self.counts.levels[rung - 1] >= _NEAR * lowest
        if near or hour != int(start // _HOUR):
            self._judge(start, drifting=drifting)

    def _learn(self, *, drifting: bool = False) -> None:
        self.threshold = learnt_threshold(self.counts, self.budget, self._settings, drifting=drifting)
        notices = self.budget.for_notices
        self.notice = None if notices is None else learnt_threshold(self.counts, notices, self._settings)

    def _judge(self, time: float, *, drifting: bool) -> None:
        self._learn(drifting=drifting)
        why = f"learned from {self.threshold.hours:.0f} hours"
        if self.threshold.recent:
            why = "more alarms in the last hours than the budget allows"
        elif self.threshold.state is State.DRIFTING:
            why = "the level changes faster than it can be learned"
        score, state = self._told
        if abs(self.threshold.score - score) >= _NOTABLE or self.threshold.state is not state:
            self.tell(time, why)

    def tell(self, time: float, why: str) -> None:
        """Record the threshold in force as a change."""
        self._changes.append(ThresholdChange(time, self._told[0], self.threshold.score, self.threshold.state, why))
        self._told = (self.threshold.score, self.threshold.state)

    def take_changes(self) -> list[ThresholdChange]:
        """What has changed since the last call; the newest 32 at most."""
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def set(self, budget: Budget, time: float) -> None:
        """Another budget, or a fixed threshold, from now on."""
        self.budget = budget
        self._learn()
        self.tell(time, "another budget" if budget.threshold is None else "set")

    def forget(self, time: float, why: str) -> None:
        """Start again from the prior's tail."""
        self.counts = AlarmCounts(self._settings, self._rule)
        self._learn()
        self.tell(time, why)

    def state(self) -> dict[str, Any]:
        """The payload of `mgfn/<camera>/calibration/state` (docs/mqtt.md)."""
        numbers = {name: round(getattr(self.threshold, name), 3) for name in ("per_day", "low", "high")}
        mode = "auto" if self.budget.threshold is None else "fixed"
        return {"mode": mode, "state": str(self.threshold.state), "hours": round(self.counts.hours, 3), **numbers}

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "counts": self.counts.to_json(),
            "budget": asdict(self.budget),
            "threshold": asdict(self.threshold),
            "told": list(self._told),
        }

    @classmethod
    def from_json(
        cls, value: object, settings: CalibrationSettings, rule: AlarmSettings, budget: Budget
    ) -> AlarmBudget:
        """With another budget than it was written with, the threshold is learned again. Raises CalibrationError."""
        given = members(value, "alarms", _KEYS)
        found = cls(settings, rule, budget)
        found.counts = AlarmCounts.from_json(given["counts"], settings, rule)
        told = items(given["told"], "told", 2)
        if len(told) != 2:
            raise CalibrationError("calibration: told must be a score and a state")
        found._told = (number(told[0], "told", 0, 1), _state(told[1]))
        found._learn()
        if given["budget"] == asdict(budget):
            found.threshold = _threshold(given["threshold"])
            if found.threshold.state is State.SETTLED and found.counts.hours < settings.settled_hours:
                found.threshold = replace(found.threshold, state=State.LEARNING)  # shorter than the stated history
        return found


def _state(value: object) -> State:
    try:
        return State(str(value))
    except ValueError:
        raise CalibrationError(f"calibration: state is {value!r}, not one of {', '.join(State)}") from None


def _threshold(value: object) -> Threshold:
    given = members(value, "threshold", tuple(Threshold.__dataclass_fields__))
    numbers = {key: number(given[key], f"threshold {key}") for key in ("z", "score", "per_day", "low", "high", "hours")}
    return Threshold(**numbers, state=_state(given["state"]), recent=flag(given["recent"], "threshold recent"))
