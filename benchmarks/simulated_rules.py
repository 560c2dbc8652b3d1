"""Rules that see the days of a simulated camera and raise alarms: a fixed threshold, and what rules have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.simulated_cameras import CLIP, Day, FloatVector
from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip


@dataclass(frozen=True)
class Options:
    """Of the rule: `settings` of the calibration besides those that a manifest measures, and seconds of the alarm
    rule.
    """

    settings: tuple[tuple[str, float], ...] = ()
    min_duration: float = 1.0


@dataclass(frozen=True)
class Rung:
    """An alarm: when it began (the first clip at the threshold), was reported, and ended."""

    start: float
    told: float
    end: float


class Rule(Protocol):
    """The rule under test: it sees a camera's days in order."""

    def alarms(self, day: Day) -> list[Rung]:
        """The alarms that were reported on this day."""


class FixedThreshold:
    """The rule before calibration: one threshold on the head's score for every camera."""

    def __init__(self, threshold: float, min_duration: float) -> None:
        self._rule = AlarmRule(AlarmSettings(threshold, 0.75 * threshold, min_duration))

    def alarms(self, day: Day) -> list[Rung]:
        """The alarms that were reported on this day."""
        scores = 1 / (1 + np.exp(-day.logits))
        return ring(self._rule, day.starts, scores, lowest=self._rule.settings.threshold_on)


def ring(rule: AlarmRule, starts: FloatVector, scores: FloatVector, lowest: float) -> list[Rung]:
    """The alarms of the live rule; clips that cannot change its state are skipped."""
    found: list[Rung] = []
    told, index = 0.0, 0
    hot = np.flatnonzero(scores >= lowest)
    while index < len(starts):
        if not rule.active and rule.start_time is None:
            following = int(np.searchsorted(hot, index))
            if following == len(hot):
                break
            index = int(hot[following])
        start = rule.start_time
        change = rule.advance(ScoredClip(starts[index], starts[index] + CLIP, float(scores[index])))
        if change is Change.STARTED:
            told = starts[index] + CLIP
        elif change is Change.ENDED and start is not None:
            found.append(Rung(start, told or start, rule.end_time))
        index += 1
    return found
