"""Groups frames with media times into clips of 16 frames. Pure: it sees times, not pixels."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Final, Literal

from configs.sizes import CLIP_LENGTH
from stream.base.errors import CameraError, Reason

Stride = Literal[4, 8, 16]
"""Frames from the start of one clip to that of the next."""

LONGEST_GAP: Final = 1.0
FASTEST_RATE: Final = 120.0
TRAINED_RATE: Final = 25.0
_RATE_FRAMES: Final = 60
_FIRST_RATE_FRAMES: Final = 8
_RATE_MARGIN: Final = 0.05
_SLOWEST_STEP: Final = 6.0  # one frame in 5 s, with some jitter
_STEPS: Final = 5
# for the clock of a camera
_SECONDS: Final = 30
_FEWEST_SECONDS: Final = 6
_LEAST_DRIFT: Final = 0.005
_MOST_DRIFT: Final = 4.0


@dataclass(frozen=True)
class Clip:
    """The times of a finished clip, in seconds of media time; `end` is the end of its last frame's duration."""

    clip: int
    start: float
    end: float


@dataclass(frozen=True)
class Placed:
    """Where a frame belongs: `position` 0..15 in the ring of the last 16, or None if it is skipped.

    `finished` is the clip that this frame completes. Its first frame is at `oldest`; the others follow around the ring.
    """

    position: int | None
    finished: Clip | None = None

    @property
    def oldest(self) -> int:
        return 0 if self.position is None else (self.position + 1) % CLIP_LENGTH


def thinning(rate: float, fps: float = TRAINED_RATE) -> int:
    """k, if every k-th frame of a source with `rate` frames per second is used.

    The remaining rate is the closest to `fps` by ratio. With the default of 25, all frames are used up to 35 frames per
    second, every second one up to 61 (50, 60), and so on.
    """
    fewer = max(1, int(rate / fps))
    return fewer if _off(rate, fewer, fps) <= _off(rate, fewer + 1, fps) else fewer + 1


def _off(rate: float, step: int, fps: float) -> float:
    return abs(log(rate / step / fps))


class ClipAssembler:
    """Groups the frames of one connection into clips, a new one every `stride` frames.

    A frame that is not later than the previous one is skipped, and so are the frames that `thinning` to `fps` frames
    per second omits (None: all are used). After a gap in media time of more than `LONGEST_GAP` seconds, a jump back by
    as much, or a change of the thinning, the current clip is discarded and a new one begins. For a camera that always
    sends less than one frame per second, down to one in 5 s, a gap is 2.5 of its steps. Variable frame rates are
    supported: a clip is 16 frames, and its times are those of its frames.

    broken_clips: number of clips discarded.
    late_frames: number of frames that were not later than the previous one.
    counted: for recordings whose frames are counted, whatever their times are; only the thinning omits frames.
    """

    def __init__(
        self, stride: Stride = CLIP_LENGTH, fps: float | None = TRAINED_RATE, *, counted: bool = False
    ) -> None:
        self._stride = stride
        self._fps = fps
        self._counted = counted
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._keep_every = 1
        self._seen = 0  # since the first frame of the current clip
        self._times: deque[float] = deque(maxlen=CLIP_LENGTH)
        self._count = 0
        self._clip = 0
        self._last: float | None = None
        self._step = 0.0
        self._rate_known = False
        self._rate_start = 0.0
        self._rate_frames = 0
        self.broken_clips = 0
        self.late_frames = 0

    def place(self, media_time: float) -> Placed:
        """Place the next frame. Raises CameraError above 120 frames per second of media time."""
        if self._last is not None:
            step = media_time - self._last
            if -LONGEST_GAP <= step <= 0 and not self._counted:
                self.late_frames += 1
                return Placed(None)
            if step > self._longest_gap() or step < -LONGEST_GAP:
                if not self._counted:
                    self._begin_anew()
                self._rate_frames = 0
            elif step > 0:
                self._step = step
            self._steps.append(step)
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

    def restart(self) -> None:
        """The times come from another clock from now on, or the images have another size: begin a new clip, and
        determine the rate again.
        """
        self._begin_anew()
        self._steps.clear()
        self._last = None
        self._keep_every, self._rate_known, self._rate_frames = 1, False, 0

    def _longest_gap(self) -> float:
        usual = median(self._steps) if len(self._steps) >= 3 else 0.0
        return max(LONGEST_GAP, 2.5 * usual) if usual <= _SLOWEST_STEP else LONGEST_GAP

    def _completes_a_clip(self) -> bool:
        return self._count >= CLIP_LENGTH and (self._count - CLIP_LENGTH) % self._stride == 0

    def _begin_anew(self) -> None:
        self.broken_clips += self._count > 0 and not self._completes_a_clip()
        self._seen = self._count = 0

    def _follow_rate(self, media_time: float) -> None:
        """Determine the rate from the first frames of a connection, then from every 60 frames."""
        if self._rate_frames == 0:
            self._rate_start = media_time
        elif self._rate_frames == (_RATE_FRAMES if self._rate_known else _FIRST_RATE_FRAMES):
            rate = self._rate_frames / (media_time - self._rate_start)
            if self._rate_known and rate > FASTEST_RATE * 1.01:
                raise CameraError(Reason.BAD_RATE, f"{rate:.0f} frames per second; must be at most {FASTEST_RATE:.0f}")
            self._rate_known = True
            self._choose_thinning(rate)
            self._rate_frames = 0
            self._rate_start = media_time
        self._rate_frames += 1

    def _choose_thinning(self, rate: float) -> None:
        if self._fps is None:
            return
        wanted, off = thinning(rate, self._fps), _off(rate, self._keep_every, self._fps)
        # a rate between two choices must not alternate
        if wanted != self._keep_every and _off(rate, wanted, self._fps) < off - _RATE_MARGIN:
            self._keep_every = wanted
            self._begin_anew()


class CameraClock:
    """Maps the media times of a live connection to the clock of arrivals.

    Frames can arrive late, but never early, and the first ones arrive as a burst from the probe. So the smallest delay
    in each second counts. A line is fitted to the smallest delays of the last 30 seconds: if it rises or falls, the
    camera's clock is slower or faster than ours, or the camera sends at a different rate than its timestamps say.
    """

    def __init__(self) -> None:
        self._seconds: deque[tuple[float, float]] = deque(maxlen=_SECONDS)  # media time, delay of each one's best
        self._began = 0.0
        self._last = float("-inf")
        self._drift = 0.0

    def observe(self, media_time: float, arrival: float) -> None:
        """A frame with `media_time` arrived at `arrival`."""
        if media_time < self._last - LONGEST_GAP:  # the camera's clock was set back: forget all observations
            self._seconds.clear()
            self._drift = 0.0
        self._last = media_time
        seen = media_time, arrival - media_time
        if not self._seconds or arrival - self._began > 1.0:
            self._drift = self._slope()
            self._seconds.append(seen)
            self._began = arrival
        elif seen[1] < self._seconds[-1][1]:
            self._seconds[-1] = seen

    def _slope(self) -> float:
        """The median of slopes over half of the seconds (Theil-Sen), which is robust against a pause in the network."""
        if len(self._seconds) < _FEWEST_SECONDS:
            return 0.0
        half = len(self._seconds) // 2
        points = list(self._seconds)
        slopes = [(d1 - d0) / (t1 - t0) for (t0, d0), (t1, d1) in zip(points, points[half:], strict=False) if t1 > t0]
        slope = median(slopes) if slopes else 0.0
        return slope if _LEAST_DRIFT < abs(slope) < _MOST_DRIFT else 0.0

    def arrived(self, media_time: float) -> float:
        """When a frame with that media time arrives without delay. Raises ValueError before the first frame."""
        if not self._seconds:
            raise ValueError("no picture observed yet")
        drift = self._drift
        return media_time * (1 + drift) + min(delay - drift * time for time, delay in self._seconds)
