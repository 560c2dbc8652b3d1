"""Which alarms other settings would have raised: stored scores pass through the live alarm rule. Pure.

The rule only gets the clips that can change its state. The others (below the threshold while no alarm is open, above it
while one is open) are skipped with array operations, so a week of a camera takes milliseconds. One thing is not in the
history: a restart of the program resets cool-down and the hourly count.

Alarms over the hourly cap run to their end, as they do live, but are not part of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.archive.score_log import ScoreColumns


@dataclass(frozen=True)
class WouldBe:
    """An alarm that would have been raised; epoch seconds. `end` is None if the history ends before it."""

    start: float
    end: float | None
    top_score: float


def alarms(scores: ScoreColumns, settings: AlarmSettings) -> list[WouldBe]:
    """The alarms in the history of one camera with `settings`, in order of time."""
    return list(_Replay(scores, settings).run())


class _Replay:
    def __init__(self, scores: ScoreColumns, settings: AlarmSettings) -> None:
        self._scores = scores
        self._rule = AlarmRule(settings)
        self._connects = scores.connects
        self._above = scores.at_least(settings.threshold_on)
        # the rule must see every step back of the clock, and the clips of an open alarm cannot be skipped then
        self._set_back = scores.set_back
        self._in_order = not len(self._set_back)

    def run(self) -> Iterator[WouldBe]:
        if not len(self._above):
            return
        runs = self._runs_that_may_start()
        ends = self._ends()
        index = 0
        while (begin := self._next_start(runs, index)) is not None:
            index = begin
            while index < len(self._scores):
                yield from self._feed(index)
                index += 1
                if not self._rule.active and self._rule.start_time is None:
                    break
                if self._rule.active and self._in_order:
                    index = self._skip_while_open(index, ends)
        if self._rule.active and self._rule.start_time is not None and not self._rule.capped:
            yield WouldBe(self._rule.start_time, None, self._rule.top_score)

    def _feed(self, index: int) -> Iterator[WouldBe]:
        rule, row = self._rule, self._scores.row(index)
        start, top, told = rule.start_time or 0.0, rule.top_score, not rule.capped
        if self._connects[index] and index and rule.end(self._scores.row(index - 1).end) and told:
            yield WouldBe(start, rule.end_time, top)
        if rule.advance(ScoredClip(row.start, row.end, row.score)) is Change.ENDED and told:
            yield WouldBe(start, rule.end_time, top)

    def _runs_that_may_start(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and last clip of each stretch at the threshold that lasts for the minimum duration."""
        above, scores = self._above, self._scores
        apart = (np.diff(above) > 1) | self._connects[above[1:]]
        firsts = above[np.concatenate([[True], apart])]
        lasts = above[np.concatenate([apart, [True]])]
        lasting = scores.starts[lasts] + scores.spans[lasts] / 1000 - scores.starts[firsts]
        torn = np.searchsorted(self._set_back, firsts, "right") < np.searchsorted(self._set_back, lasts, "right")
        long_enough = (lasting >= self._rule.settings.min_duration - 1e-3) | torn
        return firsts[long_enough], lasts[long_enough]

    def _next_start(self, runs: tuple[NDArray[np.intp], NDArray[np.intp]], index: int) -> int | None:
        """The next clip at or after `index` at which an alarm may begin, or before which the clock was set back."""
        if self._in_order:
            index = max(index, int(np.searchsorted(self._scores.starts, self._rule.quiet_until)))
        firsts, lasts = runs
        run, back = int(np.searchsorted(lasts, index)), int(np.searchsorted(self._set_back, index))
        found = [] if run == len(lasts) else [max(index, int(firsts[run]))]
        return min([*found, *self._set_back[back : back + 1].tolist()], default=None)

    def _fallen(self) -> NDArray[np.intp]:
        """For each clip at the threshold, the next one below alarm-off, or the last clip."""
        held = self._scores.at_least(self._rule.settings.threshold_off)
        lasts = held[np.concatenate([np.diff(held) > 1, [True]])]
        return np.minimum(lasts[np.searchsorted(lasts, self._above)] + 1, len(self._scores) - 1)

    def _ends(self) -> NDArray[np.intp]:
        """Clips below alarm-off after which an open alarm may end, because no other clip returns within the merge gap.

        Includes new connections and the clips before them, because they end an alarm, too.
        """
        above, starts, fallen = self._above, self._scores.starts, self._fallen()
        following = np.concatenate([above[1:], [len(starts)]])
        over = np.searchsorted(starts, starts[fallen] + self._rule.settings.merge_gap)
        connects = np.flatnonzero(self._connects)
        cut_off = np.concatenate([connects, [len(starts)]])[np.searchsorted(connects, fallen, "right")]
        # two clips of tolerance: it is harmless to pass too many, because the rule decides
        ending = (over <= following + 2) | (cut_off <= following)
        return np.union1d(fallen[ending], connects)

    def _skip_while_open(self, index: int, ends: NDArray[np.intp]) -> int:
        """The next clip that an open alarm must see; the top score is updated."""
        rule = self._rule
        if rule.falling:
            return index
        at = int(np.searchsorted(ends, index))
        goal = int(ends[at]) if at < len(ends) else len(self._scores) - 1
        if goal > index:
            top = index + int(np.argmax(self._scores.values[index:goal]))
            rule.top_score = max(rule.top_score, self._scores.row(top).score)
        return max(index, goal)
