"""Times of a camera's frames: timestamps, checked against their neighbours and against arrival. Pure."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

PERSISTS: Final = 3  # so many unexpected timestamps in a row are a new timeline, not a glitch
_LARGEST_STEP: Final = 1.0
_LEAST_STEP: Final = 1 / 120
_TOLERANCE: Final = 0.5
_STEPS: Final = 31
_BASE_SPAN: Final = 10.0
# Timestamps that run so much slower or faster than frames arrive, for two spans in a row, are unusable.
_CHECK_SPAN: Final = 5.0
_CHECK_PICTURES: Final = 10
_SLOWEST_RATIO: Final = 0.7
_FASTEST_RATIO: Final = 1.4
# Timestamps in another unit: so many frames whose times hardly move.
_STILL_PICTURES: Final = 30
_STILL_RATIO: Final = 1 / 30


class Timeline:
    """Converts the timestamps of one connection to times in seconds without jumps.

    A timestamp that contradicts its neighbours is corrected: the frame is placed at the usual distance from the
    previous one. If `PERSISTS` such timestamps follow each other, the camera's clock was set, and the times continue
    with it. A gap that arrival times confirm stays a gap. Timestamps that stand still, are missing, or run at a
    different speed than frames arrive are replaced by arrival times.

    reordered: timestamps may be earlier than the previous one (B-frames in decoding order).
    corrected: number of corrected timestamps.
    by_arrival: timestamps are no longer used.
    """

    def __init__(self, *, reordered: bool = False) -> None:
        self.reordered = reordered
        self.corrected = 0
        self.by_arrival = False
        self._time: float | None = None  # of the previous frame
        self._stamp: float | None = None
        self._offset: float | None = None  # time minus timestamp
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._odd_stamp = 0.0
        self._odd = 0
        self._base = self._base_before = float("inf")  # smallest arrival minus time of the last 10 to 20 s
        self._base_began = 0.0
        self._check_began = (0.0, 0.0)  # arrival, time
        self._checked_pictures = 0
        self._suspicion = 0

    def place(self, stamp: float | None, arrival: float) -> float:
        """The time of the next frame, which arrived at monotonic time `arrival`; at first it is about its timestamp."""
        if self._time is None:
            if stamp is not None:
                self._offset, self._stamp = 0.0, stamp
            self._check_began = (arrival, stamp or 0.0)
            return self._take(stamp or 0.0, arrival)
        time = self._time_of(stamp, arrival)
        self._check(time, arrival)
        return self._take(time, arrival)

    def _time_of(self, stamp: float | None, arrival: float) -> float:
        assert self._time is not None  # noqa: S101 -- there was a frame
        following = self._following(arrival)
        if stamp is None or self.by_arrival:
            return following
        before, self._stamp = self._stamp, stamp
        if self._offset is None:  # the first one with a timestamp
            self._offset = following - stamp
            return following
        time = stamp + self._offset
        if stamp != before and self._plausible(time, arrival):
            if time > self._time:
                self._steps.append(time - self._time)
            self._odd = 0
            return time
        self.corrected += 1
        self._odd = self._odd + 1 if self._odd and self._follows(stamp - self._odd_stamp) else 1
        self._odd_stamp = stamp
        if self._odd >= PERSISTS:
            self._offset, self._odd = following - stamp, 0
        return following

    def _following(self, arrival: float) -> float:
        """When the next frame is due, from the steps so far, or from arrival if there are none or it waited.

        Never later than it arrived.
        """
        assert self._time is not None  # noqa: S101 -- there was a frame
        by_arrival = arrival - min(self._base, self._base_before)
        step = self._usual_step()
        if step is None or self.by_arrival:
            return max(self._time + _LEAST_STEP, by_arrival)
        if by_arrival - self._time > self._largest_step():
            return by_arrival
        return min(self._time + step, max(self._time + _LEAST_STEP, by_arrival))

    def _usual_step(self) -> float | None:
        return median(self._steps) if len(self._steps) >= 4 else None

    def _largest_step(self) -> float:
        return max(_LARGEST_STEP, 2.5 * (self._usual_step() or 0.0))

    def _follows(self, step: float) -> bool:
        return (-_LARGEST_STEP if self.reordered else 0.0) < step <= self._largest_step()

    def _plausible(self, time: float, arrival: float) -> bool:
        assert self._time is not None  # noqa: S101 -- there was a frame
        step = time - self._time
        if step <= self._largest_step():
            return self._follows(step)
        # frames arrive late, never early: it is a gap if the time has also passed here
        early = min(self._base, self._base_before) - (arrival - time)
        return early <= max(_TOLERANCE, 0.25 * min(step, 10.0))

    def _take(self, time: float, arrival: float) -> float:
        self._time = time
        if arrival - self._base_began > _BASE_SPAN:
            self._base_before, self._base, self._base_began = self._base, arrival - time, arrival
        else:
            self._base = min(self._base, arrival - time)
        return time

    def _check(self, time: float, arrival: float) -> None:
        """Stop using timestamps after they ran at a different speed than frames arrive for two spans in a row."""
        self._checked_pictures += 1
        passed = arrival - self._check_began[0]
        if self._checked_pictures >= _STILL_PICTURES and time - self._check_began[1] < _STILL_RATIO * passed:
            self.by_arrival = True
        if passed < _CHECK_SPAN or self._checked_pictures < _CHECK_PICTURES or self.by_arrival:
            return
        ratio = (time - self._check_began[1]) / passed
        off = -1 if ratio < _SLOWEST_RATIO else 1 if ratio > _FASTEST_RATIO else 0
        self.by_arrival = off != 0 and off == self._suspicion
        self._suspicion = off
        self._check_began, self._checked_pictures = (arrival, time), 0


class RecordedTimeline:
    """The same for a recording, in display order, where nothing arrives.

    Frames are `step` seconds apart where timestamps are missing or contradict each other. `ordered` False: the
    timestamps are in decoding order (AVI), so frames are counted throughout.
    """

    def __init__(self, step: float, *, ordered: bool = True) -> None:
        self._step = step
        self._ordered = ordered
        self._time: float | None = None
        self._offset = 0.0
        self._odd: list[float] = []

    def place(self, stamp: float | None) -> float:
        """The time of the next frame, later than that of the previous one."""
        if self._time is None:
            self._time = stamp or 0.0
        elif stamp is None or not self._ordered:
            self._time += self._step
        else:
            self._time = self._checked(stamp, self._time)
        return self._time

    def _checked(self, stamp: float, before: float) -> float:
        time = stamp + self._offset
        if 0.001 < time - before <= _LARGEST_STEP:
            self._odd.clear()
            return time
        if self._odd and not 0 < stamp - self._odd[-1] <= _LARGEST_STEP:
            self._odd.clear()
        self._odd.append(stamp)
        if len(self._odd) < PERSISTS:
            return before + self._step
        self._odd.clear()
        if time > before:  # a gap: nothing was recorded there
            return time
        self._offset = before + self._step - stamp
        return before + self._step
