"""Pictures with media times to clips of 16 frames. Pure: times are passed in, pixels stay outside."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import log
from typing import Final, Literal

from stream.base.errors import CameraError, Reason

Stride = Literal[4, 8, 16]
"""Frames from the start of one clip to that of the next."""

CLIP_LENGTH: Final = 16
LONGEST_GAP: Final = 1.0
FASTEST_RATE: Final = 120.0
TRAINED_RATE: Final = 25.0
_RATE_FRAMES: Final = 60
_FIRST_RATE_FRAMES: Final = 8
_RATE_MARGIN: Final = 0.05


@dataclass(frozen=True)
class Clip:
    """Times of a finished clip in seconds of media time; `end` is when its last frame's time is over."""

    clip: int
    start: float
    end: float


@dataclass(frozen=True)
class Placed:
    """Where a picture belongs: `position` 0..15 among the last 16, None if it is to be left out.

    `finished` is the clip that this picture completes: its first picture lies at `oldest`, then they follow in a
    circle.
    """

    position: int | None
    finished: Clip | None = None

    @property
    def oldest(self) -> int:
        return 0 if self.position is None else (self.position + 1) % CLIP_LENGTH


def thinning(rate: float, fps: float = TRAINED_RATE) -> int:
    """Every how many pictures of a source of `rate` frames a second one is kept.

    The rate that is left is the nearest by ratio to `fps`. With the 25 that clips were trained at all are kept up to
    35, every second one up to 61 (50, 60), and so on.
    """
    fewer = max(1, int(rate / fps))
    return fewer if _off(rate, fewer, fps) <= _off(rate, fewer + 1, fps) else fewer + 1


def _off(rate: float, step: int, fps: float) -> float:
    return abs(log(rate / step / fps))


class ClipAssembler:
    """Counts the pictures of one connection into clips, one every `stride` pictures that are kept.

    A picture that is not later than the one before is left out, and so are those that `thinning` to `fps` frames a
    second leaves out (None: none). After a gap in media time of more than `LONGEST_GAP` seconds, a jump back of as
    much, or a change of the thinning, the running clip is given up and a new one begins.
    Variable frame rates are fine: a clip is 16 frames, and its times are those of its frames.
    """

    def __init__(self, stride: Stride = CLIP_LENGTH, fps: float | None = TRAINED_RATE) -> None:
        self._stride = stride
        self._fps = fps
        self._keep_every = 1
        self._seen = 0  # since the running clip's first picture
        self._times: deque[float] = deque(maxlen=CLIP_LENGTH)
        self._count = 0
        self._clip = 0
        self._last: float | None = None
        self._step = 0.0
        self._rate_known = False
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
                self._begin_anew()
                self._rate_frames = 0
            else:
                self._step = step
        self._last = media_time
        self._follow_rate(media_time)
        self._seen += 1
        if (self._seen - 1) % self._keep_every:
            return Placed(None)
        self._times.append(media_time)
        position = self._count % CLIP_LENGTH
        self._count += 1
        if not self._completes_a_clip():
            return Placed(position)
        finished = Clip(self._clip, self._times[0], media_time + self._step * self._keep_every)
        self._clip += 1
        return Placed(position, finished)

    def _completes_a_clip(self) -> bool:
        return self._count >= CLIP_LENGTH and (self._count - CLIP_LENGTH) % self._stride == 0

    def _begin_anew(self) -> None:
        self.given_up += self._count > 0 and not self._completes_a_clip()
        self._seen = self._count = 0

    def _follow_rate(self, media_time: float) -> None:
        """Take the rate of a new connection's first pictures, then that of every 60."""
        if self._rate_frames == 0:
            self._rate_start = media_time
        elif self._rate_frames == (_RATE_FRAMES if self._rate_known else _FIRST_RATE_FRAMES):
            rate = self._rate_frames / (media_time - self._rate_start)
            if self._rate_known and rate > FASTEST_RATE * 1.01:
                raise CameraError(Reason.BAD_RATE, f"{rate:.0f} frames a second; at most {FASTEST_RATE:.0f} allowed")
            self._rate_known = True
            self._choose_thinning(rate)
            self._rate_frames = 0
            self._rate_start = media_time
        self._rate_frames += 1

    def _choose_thinning(self, rate: float) -> None:
        if self._fps is None:
            return
        wanted, off = thinning(rate, self._fps), _off(rate, self._keep_every, self._fps)
        # a rate between two choices must not go to and fro
        if wanted != self._keep_every and _off(rate, wanted, self._fps) < off - _RATE_MARGIN:
            self._keep_every = wanted
            self._begin_anew()


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
