"""Which clip is scored next, and which is dropped if scoring cannot keep up. Pure: times are passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Protocol, TypeVar

from stream.camera.messages import ClipReady

LONGEST_WAIT: Final = 1.0


class Line(Protocol):
    """A camera's finished clips that are not scored yet, oldest first."""

    pending_clips: deque[ClipReady]


AnyLine = TypeVar("AnyLine", bound=Line)


def next_batch(lines: Sequence[AnyLine], size: int) -> list[AnyLine]:
    """The lines whose oldest clips are scored together now: at most one clip of each, those that wait longest first."""
    waiting = [line for line in lines if line.pending_clips]
    return sorted(waiting, key=_oldest)[:size]


class Shedder:
    """Chooses which clips are dropped under overload.

    Whole clips are dropped, oldest first, so that no scored clip has waited much longer than `longest_wait` seconds,
    and all cameras drop the same share. For each clip that has waited too long, one is dropped: the oldest clip of
    those cameras that have not dropped one in this round. A round ends when no camera is left that could. No camera is
    first in a round that was last in the previous one, if another is waiting. Clips that are too old but were spared
    are scored next.
    """

    def __init__(self, longest_wait: float = LONGEST_WAIT) -> None:
        self._longest_wait = longest_wait
        self._gave: dict[int, Line] = {}  # in this round, by identity, in order

    def overdue(self, lines: Sequence[AnyLine], now: float) -> int:
        """How many clips have waited too long at monotonic time `now`."""
        return sum(now - clip.arrival > self._longest_wait for line in lines for clip in line.pending_clips)

    def choose(self, lines: Sequence[AnyLine]) -> AnyLine | None:
        """The line that drops its oldest clip; None if none is waiting."""
        return next(self.chosen(lines, 1), None)

    def chosen(self, lines: Sequence[AnyLine], count: int) -> Iterator[AnyLine]:
        """The lines that drop `count` clips, if so many wait; each drops its oldest one before the next is chosen."""
        while count > 0 and (waiting := [line for line in lines if line.pending_clips]):
            candidates = [line for line in waiting if id(line) not in self._gave]
            if not candidates:
                last = next(reversed(self._gave))
                candidates = [line for line in waiting if id(line) != last] or waiting
                self._gave = {}
            for line in sorted(candidates, key=_oldest)[:count]:
                self._gave[id(line)] = line
                count -= 1
                yield line


def _oldest(line: Line) -> float:
    return line.pending_clips[0].arrival
