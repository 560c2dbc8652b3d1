"""Pictures with media times to clips of 16 consecutive frames. Pure: times are passed in, pixels stay outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream.errors import CameraError, Reason

CLIP_LENGTH: Final = 16
LONGEST_GAP: Final = 1.0
FASTEST_RATE: Final = 120.0
_RATE_FRAMES: Final = 60


@dataclass(frozen=True)
class Clip:
    """Times of a finished clip in seconds of media time; `end` is when its last frame's time is over."""

    clip: int
    start: float
    end: float


@dataclass(frozen=True)
class Placed:
    """Where a picture belongs: `position` 0..15 in the running clip, None if it is to be left out.

    `finished` is the clip that this picture completes.
    """

    position: int | None
    finished: Clip | None = None


class ClipAssembler:
    """Counts the pictures of one connection into clips.

    A picture that is not later than the one before is left out. After a gap in media time of more than
    `LONGEST_GAP` seconds, or a jump back of as much, the running clip is given up and a new one begins.
    Variable frame rates are fine: a clip is 16 frames, and its times are those of its frames.
    """

    def __init__(self) -> None:
        self._position = 0
        self._clip = 0
        self._start = 0.0
        self._last: float | None = None
        self._step = 0.0
        self._rate_start = 0.0
        self._rate_frames = 0
        self.given_up = 0
        self.left_out = 0

    def place(self, media_time: float) -> Placed:
        """Place the next picture. Raises CameraError above 120 frames a second of media time."""
        if self._last is not None:
            step = media_time - self._last
            if -LONGEST_GAP <= step <= 0:
                self.left_out += 1
                return Placed(None)
            if abs(step) > LONGEST_GAP:
                self.given_up += self._position > 0
                self._position = 0
                self._rate_frames = 0
            else:
                self._step = step
        self._last = media_time
        self._check_rate(media_time)
        if self._position == 0:
            self._start = media_time
        position = self._position
        self._position = (position + 1) % CLIP_LENGTH
        if self._position:
            return Placed(position)
        finished = Clip(self._clip, self._start, media_time + self._step)
        self._clip += 1
        return Placed(position, finished)

    def _check_rate(self, media_time: float) -> None:
        if self._rate_frames == 0:
            self._rate_start = media_time
        elif self._rate_frames == _RATE_FRAMES:
            rate = _RATE_FRAMES / (media_time - self._rate_start)
            if rate > FASTEST_RATE * 1.01:
                raise CameraError(Reason.BAD_RATE, f"{rate:.0f} frames a second; at most {FASTEST_RATE:.0f} allowed")
            self._rate_frames = 0
            self._rate_start = media_time
        self._rate_frames += 1


class EpochClock:
    """Media time of a live connection to epoch time.

    Frames arrive late, never early, and the first ones as a burst out of the probe's backlog. The smallest delay
    seen in the last one to two `span` seconds is the best estimate; the span lets a drifting camera clock through.
    """

    def __init__(self, span: float = 30.0) -> None:
        self._span = span
        self._began = 0.0
        self._smallest: float | None = None
        self._before: float | None = None
        self._last = float("-inf")

    def observe(self, media_time: float, arrival: float) -> None:
        """A picture of `media_time` arrived at epoch time `arrival`."""
        if media_time < self._last - LONGEST_GAP:  # the camera's clock was set back: what was seen is worth nothing
            self._smallest = self._before = None
        self._last = media_time
        delay = arrival - media_time
        if self._smallest is None:
            self._smallest, self._began = delay, arrival
        elif arrival - self._began > self._span:
            self._before, self._smallest, self._began = self._smallest, delay, arrival
        else:
            self._smallest = min(self._smallest, delay)

    def epoch(self, media_time: float) -> float:
        """Epoch time of a media time. Raises ValueError before the first picture."""
        if self._smallest is None:
            raise ValueError("no picture observed yet")
        return media_time + min(self._smallest, self._before if self._before is not None else self._smallest)
