"""The alarm rule: hysteresis, minimum duration, merge gap, cool-down, hourly cap.

Pure: takes the score of one clip at a time, with its time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Final

from annotated_types import Interval

_HOUR: Final = 3600.0
_NOTICES: Final = 10.0


@dataclass(frozen=True)
class AlarmSettings:
    """Thresholds in [0, 1], times in seconds.

    An alarm begins when the score has stayed at or above `threshold_on` for `min_duration` (the default of one second
    means two clips at 25 fps, so that a single clip raises no alarm). It lasts until the score falls below
    `threshold_off`. If the score returns to `threshold_on` within `merge_gap`, the same alarm continues. For
    `cool_down` after its end no other alarm begins, and at most `hourly_cap` begin in any hour.

    learnt: `threshold_on` is only a start value, and each camera learns the threshold that keeps the budget.

    A field with a `doc` is a key of the site file.
    """

    threshold_on: float
    threshold_off: float
    min_duration: Annotated[float, Interval(ge=0, le=60)] = field(
        default=1.0,
        metadata={
            "doc": "Seconds for which the score must stay at or above `threshold_on`. Default: that of the bundle, "
            "else {default}."
        },
    )
    cool_down: Annotated[float, Interval(ge=0, le=86_400)] = field(
        default=10.0, metadata={"doc": "Seconds after an alarm in which no other alarm begins. Default: {default}."}
    )
    merge_gap: Annotated[float, Interval(ge=0, le=600)] = field(
        default=3.0,
        metadata={
            "doc": "If the score returns to `threshold_on` within this many seconds, the same alarm continues. "
            "Default: {default}."
        },
    )
    hourly_cap: Annotated[int, Interval(ge=1, le=3_600)] = field(
        default=60,
        metadata={
            "doc": "Maximum number of alarms in any hour. Further alarms are listed, but not published. "
            "Default: {default}."
        },
    )
    false_alarms_per_day: Annotated[float, Interval(gt=0, le=10_000)] = field(
        default=1.0,
        metadata={
            "doc": "Number of false alarms per day that a learned threshold aims for. Has no effect if `threshold_on` "
            "is set. Default: {default}."
        },
    )
    notices_per_day: Annotated[float, Interval(ge=0, le=10_000)] | None = field(
        default=None,
        metadata={
            "doc": "Number of notices per day: scores that come near an alarm are published with severity `notice` and "
            "raise no alarm; 0 switches this off. Default: 10 with a learned threshold, 0 with a fixed one."
        },
    )
    lookalike_days: Annotated[float, Interval(ge=0, le=3_650)] = field(
        default=30.0,
        metadata={
            "doc": "Days for which clips that look like a false alarm of the same camera raise no alarm; 0 switches "
            "this off. Default: {default}."
        },
    )
    learnt: bool = True

    @property
    def notices(self) -> float:
        """Number of notices per day."""
        if self.notices_per_day is not None:
            return self.notices_per_day
        return _NOTICES if self.learnt else 0.0

    def with_threshold(self, on: float) -> AlarmSettings:
        """The same with a fixed alarm-on threshold; alarm-off keeps its ratio to it."""
        share = self.threshold_off / self.threshold_on if self.threshold_on else 1.0
        return replace(self, threshold_on=on, threshold_off=on * share, learnt=False)


@dataclass(frozen=True)
class ScoredClip:
    """The score of a clip; times in seconds of whatever clock the camera's clips carry."""

    start: float
    end: float
    score: float


class Change(StrEnum):
    """What a clip did to the alarm."""

    STARTED = "started"
    ROSE = "rose"  # the top score is now higher
    ENDED = "ended"
    CAPPED = "capped"  # it started over the hourly cap: it runs like any other, but is not published


class AlarmRule:
    """The alarm of one camera. `advance` takes each scored clip in order; `end` closes what is open.

    `capped`: the last alarm began over the hourly cap.
    """

    def __init__(self, settings: AlarmSettings) -> None:
        self.settings = settings
        self.active = False
        self.capped = False
        self._counts = False  # the alarm that began last, towards the hourly cap
        self.start_time: float | None = None  # of the first clip at or above threshold_on
        self.end_time = 0.0  # of the alarm that ended last
        self.top_score = 0.0
        self._fell_at: float | None = None  # below threshold_off since then: over, unless it comes back in time
        self.quiet_until = float("-inf")  # before that, none begins
        self._starts: deque[float] = deque()
        self._newest = float("-inf")  # when the newest clip began

    @property
    def falling(self) -> bool:
        """Whether an open alarm has fallen below alarm-off but may still return."""
        return self._fell_at is not None

    def advance(self, clip: ScoredClip) -> Change | None:
        """Take the next clip."""
        if clip.start < self._newest:
            self._set_back(clip.start)
        self._newest = clip.start
        if self.active:
            return self._advance_active(clip)
        if clip.score < self.settings.threshold_on or clip.start < self.quiet_until:
            self.start_time = None
            return None
        if self.start_time is None:
            self.start_time, self.top_score = clip.start, 0.0
        self.top_score = max(self.top_score, clip.score)
        if clip.end - self.start_time < self.settings.min_duration - 1e-6:
            return None
        return self._start(self.start_time)

    def _set_back(self, now: float) -> None:
        """The clock was set back: treat times ahead of it as now, because otherwise the cool-down would last for
        hours.
        """
        self.quiet_until = min(self.quiet_until, now + self.settings.cool_down)
        self._starts = deque(min(start, now) for start in self._starts)
        if self.start_time is not None:
            self.start_time = min(self.start_time, now)
        if self._fell_at is not None:
            self._fell_at = min(self._fell_at, now)

    def _start(self, at: float) -> Change:
        while self._starts and self._starts[0] <= at - _HOUR:
            self._starts.popleft()
        self.active = True
        self.capped = len(self._starts) >= self.settings.hourly_cap
        self._counts = not self.capped
        if self.capped:
            return Change.CAPPED
        self._starts.append(at)
        return Change.STARTED

    def discount(self) -> None:
        """The alarm that began last is suppressed for another reason and does not count towards the hourly cap."""
        if self._counts:
            self._starts.pop()
        self._counts = False

    def _advance_active(self, clip: ScoredClip) -> Change | None:
        if clip.score < self.settings.threshold_off and self._fell_at is None:
            self._fell_at = clip.start
        if self._fell_at is not None and clip.start - self._fell_at >= self.settings.merge_gap:
            self.end(clip.start)
            return Change.ENDED
        if clip.score >= self.settings.threshold_on:
            self._fell_at = None
        if clip.score > self.top_score:
            self.top_score = clip.score
            return Change.ROSE
        return None

    def end(self, at: float) -> bool:
        """Close an open alarm at time `at`, or forget one that is beginning. Returns whether one was open."""
        was_active, self.active = self.active, False
        self.start_time = None
        if was_active:
            self.end_time = at if self._fell_at is None else self._fell_at
            self.quiet_until = self.end_time + self.settings.cool_down
        self._fell_at = None
        return was_active
