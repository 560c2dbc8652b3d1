"""When scores become an alarm: hysteresis, minimum duration, cool-down. Pure: one clip's score at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class AlarmSettings:
    """Thresholds in [0, 1], times in seconds.

    The score must stay at `threshold_on` or above for `min_duration` (one second: two clips of a 25 fps camera, so
    that a single odd clip does not ring) and the alarm lasts until it falls below `threshold_off`. For `cool_down`
    after its end no other begins.
    """

    threshold_on: float
    threshold_off: float
    min_duration: float = 1.0
    cool_down: float = 10.0


@dataclass(frozen=True)
class ScoredClip:
    """A clip's score; times in seconds of whatever clock the camera's clips carry."""

    start: float
    end: float
    score: float


class Change(StrEnum):
    """What a clip did to the alarm."""

    STARTED = "started"
    ROSE = "rose"  # the top score is now higher
    ENDED = "ended"


class AlarmRule:
    """The alarm of one camera. `advance` takes each scored clip in order; `end` closes what is open."""

    def __init__(self, settings: AlarmSettings) -> None:
        self.settings = settings
        self.active = False
        self.start_time: float | None = None  # of the first clip at or above threshold_on
        self.top_score = 0.0
        self._quiet_until = float("-inf")

    def advance(self, clip: ScoredClip) -> Change | None:
        """Take the next clip."""
        if self.active:
            return self._advance_active(clip)
        if clip.score < self.settings.threshold_on or clip.start < self._quiet_until:
            self.start_time = None
            return None
        if self.start_time is None:
            self.start_time, self.top_score = clip.start, 0.0
        self.top_score = max(self.top_score, clip.score)
        if clip.end - self.start_time < self.settings.min_duration - 1e-6:
            return None
        self.active = True
        return Change.STARTED

    def _advance_active(self, clip: ScoredClip) -> Change | None:
        if clip.score < self.settings.threshold_off:
            self.end(clip.start)
            return Change.ENDED
        if clip.score > self.top_score:
            self.top_score = clip.score
            return Change.ROSE
        return None

    def end(self, at: float) -> bool:
        """Close an open alarm at time `at`, or forget a beginning one. Returns whether one was open."""
        was_active, self.active = self.active, False
        self.start_time = None
        if was_active:
            self._quiet_until = at + self.settings.cool_down
        return was_active
