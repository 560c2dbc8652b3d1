"""Whose clip is scored next, and whose is given up where scoring does not keep up. Pure: times are passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from stream.camera.messages import ClipReady

LONGEST_WAIT: Final = 1.0


class Line(Protocol):
    """A camera's finished clips that nobody has scored yet, oldest first."""

    pending_clips: deque[ClipReady]


AnyLine = TypeVar("AnyLine", bound=Line)


def next_batch(lines: Sequence[AnyLine], size: int) -> list[AnyLine]:
    """The lines whose oldest clips are scored together now: one clip of each at most, those that wait longest first."""
    waiting = [line for line in lines if line.pending_clips]
    return sorted(waiting, key=_oldest)[:size]


class Shedder:
    """Chooses what is given up, whole clips and oldest first, so that none that is scored has waited much longer than
    `longest_wait` seconds, and that all cameras give up alike.

    For each clip that has waited for too long one is given up: the oldest of the camera whose clip is the oldest among
    those that have not given up one in this round. A round ends when nobody is left who could; no camera is first in
    a round that was last in the one before, if another is waiting. What is too old and was spared is scored next.
    """

    def __init__(self, longest_wait: float = LONGEST_WAIT) -> None:
        self._longest_wait = longest_wait
        self._gave: list[Line] = []

    def overdue(self, lines: Sequence[AnyLine], now: float) -> int:
        """How many clips have waited for too long at monotonic time `now`."""
        return sum(now - clip.arrival > self._longest_wait for line in lines for clip in line.pending_clips)

    def choose(self, lines: Sequence[AnyLine]) -> AnyLine | None:
        """The line that gives up its oldest clip; None where nobody waits."""
        waiting = sorted((line for line in lines if line.pending_clips), key=_oldest)
        if not waiting:
            return None
        candidates = [line for line in waiting if not any(line is gave for gave in self._gave)]
        if not candidates:
            last = self._gave[-1]
            candidates = [line for line in waiting if line is not last] or waiting
            self._gave = []
        self._gave.append(candidates[0])
        return candidates[0]


def _oldest(line: Line) -> float:
    return line.pending_clips[0].arrival
