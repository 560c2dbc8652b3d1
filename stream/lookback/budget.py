"""Proposes a threshold at which a camera raises N false alarms per day, from its own score history. Pure.

If the history contains enough alarms at the threshold in question (`COUNTED`), they are counted: the history passes
through the live rule at decreasing thresholds, and the lowest one within the budget is chosen. This assumes no
distribution, and uses the camera's hours, weekdays and bursts as they were. Only for budgets too small to be counted
(for example one alarm per month from a week of history) is the tail extrapolated: the levels of separate episodes above
a high score follow a generalised Pareto distribution (Pickands 1975), fitted by probability-weighted moments (Hosking
and Wallis 1987).

The interval is a prediction: in 95 of 100 cases the mean of an equally long future period is in it. Alarms come in
bursts, so their counts vary more than Poisson's; the daily counts show by how much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stream.alarm.rule import AlarmSettings
from stream.archive.retention import DAY
from stream.archive.score_log import ScoreColumns
from stream.lookback.what_if import WouldBe, alarms

COUNTED: Final = 10  # number of alarms in the history from which counting is better than a fit
SHORTEST: Final = 0.5 * DAY
_EPISODES: Final = 300  # number used for the fit, if there are as many
_FEWEST_EPISODES: Final = 20
_RESAMPLES: Final = 400
_LOWEST: Final = 0.02
_RINGING: Final = 0.1  # of the time, at most
_Z: Final = 1.959964
_NEAR: Final = 5.0  # seconds by which an alarm with other settings may begin or end beside an event

Span = tuple[float, float]
FloatVector = NDArray[np.float64]


@dataclass(frozen=True)
class Proposal:
    """A threshold, the expected alarms per day (`low` to `high`: 95 %), and how it was found.

    days: scored time.
    counted: number of such alarms in the history.
    method: "counted", "extrapolated", or "quiet" if even the lowest examined threshold keeps the budget.
    missed: (start, end) of alarms marked as true that would not have been raised.
    found: number of alarms marked as true that would have been raised.
    """

    threshold: float
    per_day: float
    low: float
    high: float
    days: float
    counted: int
    method: Literal["counted", "extrapolated", "quiet"]
    found: int
    missed: tuple[Span, ...]


def scored_days(scores: ScoreColumns) -> float:
    """Days of scored time, without gaps."""
    return float(scores.lasting.sum()) / DAY


def propose(
    scores: ScoreColumns, rule: AlarmSettings, per_day: float, true: Sequence[Span] = (), days: float | None = None
) -> Proposal | None:
    """The lowest threshold with at most `per_day` false alarms per day that is in alarm for at most a tenth of the
    time.

    Alarms marked as `true` do not count as false. `days`: the time of watching, if `scores` contains only those within
    a schedule. Returns None for less than half a day, or if the schedule left no scores.
    """
    days = scored_days(scores) if days is None else days
    if days * DAY < SHORTEST or not len(scores):
        return None
    history = _History(scores, rule, true, days)
    threshold, kept = history.lowest(per_day)
    if kept is None:
        return history.proposal(threshold, "quiet")
    if per_day * days < COUNTED:
        tail = _Tail.fitted(scores, rule, true, days)
        if tail is not None:
            return history.extrapolated(tail, per_day)
    return history.proposal(threshold, "counted")


class _History:
    def __init__(self, scores: ScoreColumns, rule: AlarmSettings, true: Sequence[Span], days: float) -> None:
        self._scores = scores
        self._rule = rule
        self._true = true
        self._days = days

    def false_alarms(self, threshold: float) -> list[WouldBe]:
        return self._false(alarms(self._scores, self._rule.with_threshold(threshold)))

    def _false(self, found: list[WouldBe]) -> list[WouldBe]:
        return [alarm for alarm in found if not any(_touch(alarm, span) for span in self._true)]

    def bearable(self, threshold: float, per_day: float) -> bool:
        """Whether a threshold keeps the budget. Few alarms that hardly ever end do not: at a low threshold all become
        one.
        """
        found = alarms(self._scores, self._rule.with_threshold(threshold))
        last = float(self._scores.starts[-1])
        ringing = sum((last if alarm.end is None else alarm.end) - alarm.start for alarm in found)
        return ringing <= _RINGING * self._days * DAY and len(self._false(found)) <= per_day * self._days

    def lowest(self, per_day: float) -> tuple[float, float | None]:
        """The lowest threshold, coming from above, that keeps the budget, and the highest that does not (None)."""
        keeps, breaks = 1.0, None
        for step in range(19, -1, -1):
            threshold = max(_LOWEST, step * 0.05)
            if not self.bearable(threshold, per_day):
                breaks = threshold
                break
            keeps = threshold
        while breaks is not None and keeps - breaks > 0.001:
            middle = (keeps + breaks) / 2
            if self.bearable(middle, per_day):
                keeps = middle
            else:
                breaks = middle
        return round(math.ceil(keeps * 1000 - 1e-9) / 1000, 3), breaks

    def proposal(self, threshold: float, method: Literal["counted", "quiet"]) -> Proposal:
        found = self.false_alarms(threshold)
        low, high = interval([alarm.start for alarm in found], self._scores, self._days)
        missed = self._missed(threshold)
        per_day = len(found) / self._days
        return Proposal(
            threshold, per_day, low, high, self._days, len(found), method, len(self._true) - len(missed), missed
        )

    def extrapolated(self, tail: _Tail, per_day: float) -> Proposal:
        threshold = min(1.0, math.ceil(tail.threshold(per_day) * 1000) / 1000)
        low, high = tail.interval(threshold, self._days)
        missed, counted = self._missed(threshold), len(self.false_alarms(threshold))
        return Proposal(
            threshold, tail.rate(threshold), low, high, self._days, counted, "extrapolated",
            len(self._true) - len(missed), missed,
        )  # fmt: skip

    def _missed(self, threshold: float) -> tuple[Span, ...]:
        found = alarms(self._scores, self._rule.with_threshold(threshold))
        return tuple(span for span in self._true if not any(_touch(alarm, span) for alarm in found))


def _touch(alarm: WouldBe, span: Span) -> bool:
    end = math.inf if alarm.end is None else alarm.end
    return alarm.start <= span[1] + _NEAR and end >= span[0] - _NEAR


def dispersion(times: Sequence[float], scores: ScoreColumns) -> float:
    """Variance of the daily counts divided by their mean, at least 1 (as for Poisson); 1 for less than three days."""
    first, last = float(scores.starts[0]), float(scores.starts[-1])
    blocks = int((last - first) // DAY)
    if blocks < 3 or not times:
        return 1.0
    counts = np.histogram(times, blocks, (first, last))[0]
    return max(1.0, float(counts.var(ddof=1) / counts.mean())) if counts.mean() else 1.0


def interval(times: Sequence[float], scores: ScoreColumns, days: float) -> Span:
    """The 95 % interval of the mean alarms per day in an equally long future period; `times` are those of this
    history.
    """
    # the variance of the future adds to that of the counts: half of the weight
    weight = 2 * dispersion(times, scores)
    count = len(times) / weight
    low = _chi_square(2 * count, -_Z) / 2 if count else 0.0
    return low * weight / days, _chi_square(2 * count + 2, _Z) / 2 * weight / days


def _chi_square(degrees: float, z: float) -> float:
    """The quantile at the normal quantile `z` (Wilson and Hilferty 1931)."""
    return degrees * max(0.0, 1 - 2 / (9 * degrees) + z * math.sqrt(2 / (9 * degrees))) ** 3


def levels(scores: ScoreColumns, rule: AlarmSettings) -> FloatVector:
    """For each clip, the highest threshold at which an alarm could begin there.

    That is the lowest score of the clips from it on that fill the minimum duration.
    """
    values = scores.scores
    spans, steps = scores.spans[scores.spans > 0] / 1000, scores.lasting[scores.lasting > 0]
    clip, step = (float(np.median(each)) if len(each) else 1.0 for each in (spans, steps))
    found = values.copy()
    for ahead in range(1, 1 + max(0, math.ceil((rule.min_duration - clip) / step - 1e-6))):
        np.minimum(found[:-ahead], values[ahead:], out=found[:-ahead])
    return found


@dataclass(frozen=True)
class _Tail:
    """Levels of separate episodes above `base`: their number per day, and their generalised Pareto distribution."""

    base: float
    a_day: float
    shape: float
    scale: float
    peaks: FloatVector
    blocks: NDArray[np.intp]  # day of each peak
    count_blocks: int

    @classmethod
    def fitted(cls, scores: ScoreColumns, rule: AlarmSettings, true: Sequence[Span], days: float) -> _Tail | None:
        level, starts = levels(scores, rule), scores.starts
        for begin, end in true:
            level[(starts >= begin - _NEAR) & (starts <= end + _NEAR)] = 0
        apart = rule.merge_gap + rule.cool_down
        base, (times, peaks) = 1.0, (np.empty(0), np.empty(0))
        for lower in np.arange(0.95, 0, -0.05):
            episodes = _episodes(starts, level, float(lower), apart)
            if len(episodes[1]) > len(peaks):
                base, (times, peaks) = float(lower), episodes
            if len(peaks) >= _EPISODES:
                break
        if len(peaks) < _FEWEST_EPISODES:
            return None
        blocks = ((times - starts[0]) // DAY).astype(np.intp)
        count = int((starts[-1] - starts[0]) // DAY) + 1
        shape, scale = _pareto(peaks - base)
        return cls(base, len(peaks) / days, shape, scale, peaks, blocks, count)

    def rate(self, threshold: float) -> float:
        """Episodes per day at or above the level."""
        return self.a_day * _beyond(threshold - self.base, self.shape, self.scale)

    def threshold(self, per_day: float) -> float:
        share = per_day / self.a_day
        if share >= 1:
            return self.base
        if abs(self.shape) < 1e-6:
            return self.base - self.scale * math.log(share)
        return self.base + self.scale / self.shape * (share**-self.shape - 1)

    def interval(self, threshold: float, days: float) -> Span:
        """The interval by resampling days, fitting again, and drawing a future period."""
        rng = np.random.default_rng(0)
        by_block = [self.peaks[self.blocks == block] for block in range(self.count_blocks)]
        drawn = []
        for _ in range(_RESAMPLES):
            peaks = np.concatenate([by_block[i] for i in rng.integers(self.count_blocks, size=self.count_blocks)])
            if len(peaks) < 2:
                continue
            again = replace(self, a_day=self.a_day * len(peaks) / len(self.peaks))
            shape, scale = _pareto(peaks - self.base)
            mean = again.a_day * _beyond(threshold - self.base, shape, scale)
            drawn.append(rng.poisson(mean * days) / days)
        # what was never seen may still come: the rule of three
        return float(np.quantile(drawn, 0.025)), max(float(np.quantile(drawn, 0.975)), 3 / days)


def _episodes(starts: FloatVector, level: FloatVector, base: float, apart: float) -> tuple[FloatVector, FloatVector]:
    """Time and level of the highest clip of each episode; episodes above `base` are more than `apart` seconds apart."""
    above = np.flatnonzero(level >= base)
    if not len(above):
        return np.empty(0), np.empty(0)
    first = np.concatenate([[0], np.flatnonzero(np.diff(starts[above]) > apart) + 1])
    return starts[above[first]], np.maximum.reduceat(level[above], first)


def _pareto(excess: FloatVector) -> tuple[float, float]:
    """Shape and scale by probability-weighted moments."""
    ordered = np.sort(excess)
    count = len(ordered)
    mean = float(ordered.mean())
    weighted = float((ordered * (count - 1 - np.arange(count))).sum() / (count * max(1, count - 1)))
    difference = mean - 2 * weighted
    if difference <= 1e-12:
        return 0.0, max(mean, 1e-6)
    return 2 - mean / difference, max(2 * mean * weighted / difference, 1e-6)


def _beyond(excess: float, shape: float, scale: float) -> float:
    """The probability that the level of an episode is at least `excess` above the base."""
    if excess <= 0:
        return 1.0
    if abs(shape) < 1e-6:
        return math.exp(-excess / scale)
    inside = 1 + shape * excess / scale
    return inside ** (-1 / shape) if inside > 0 else 0.0
