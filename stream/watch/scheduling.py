"""Which clip is scored next, and which is dropped if scoring cannot keep up. Pure: times are passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeVar
from weakref import WeakKeyDictionary

from stream.camera.messages import ClipReady

LONGEST_WAIT: Final = 1.0
STARVED: Final = 5.0
"""Seconds after which a camera is served whatever happens elsewhere."""
_LEVELS: Final = 4  # of nearness: cameras that differ less take turns


class Standing(NamedTuple):
    """What speaks for a camera's oldest clip.

    is_free: its feature is known already, because nothing has moved.
    nearness: 0 to 1, of the camera's last score to its threshold.
    """

    is_free: bool
    nearness: float


class Line(Protocol):
    """A camera's finished clips that are not scored yet, oldest first; `standing` of the oldest, if there is one."""

    pending_clips: deque[ClipReady]

    @property
    def standing(self) -> Standing: ...


AnyLine = TypeVar("AnyLine", bound=Line)


class Scheduler:
    """Chooses whose clips are scored, and under overload, whose are dropped.

    While scoring keeps up, the clip that has waited longest is next. A clip that has waited for more than
    `longest_wait` seconds is dropped, and from then on those of cameras near an alarm are scored first, so that others
    are dropped. Clips whose feature is known cost nothing, and come first. A camera that was not served for `starved`
    seconds comes before all others that cost something.
    """

    def __init__(self, longest_wait: float = LONGEST_WAIT, starved: float = STARVED) -> None:
        self._longest_wait = longest_wait
        self._starved = starved
        self._served: WeakKeyDictionary[Line, float] = WeakKeyDictionary()
        self._dropped_at = float("-inf")

    def next_batch(self, lines: Sequence[AnyLine], size: int, now: float) -> list[AnyLine]:
        """The lines whose oldest clips are scored together now: at most one clip of each."""
        waiting = [line for line in lines if line.pending_clips]
        overloaded = now - self._dropped_at <= self._starved
        waiting.sort(key=(lambda line: self._rank(line, now)) if overloaded else _oldest)
        chosen = waiting[:size]
        for line in chosen:
            self._served[line] = now
        return chosen

    def overdue(self, lines: Sequence[AnyLine], now: float) -> list[AnyLine]:
        """The lines that drop their oldest clip because it has waited too long; twice in it, two clips. Clips that cost
        nothing are kept.
        """
        late = [line for line in lines if line.pending_clips and now - _oldest(line) > self._longest_wait]
        costly = [line for line in late if not line.standing.is_free]
        found = [line for line in costly for clip in line.pending_clips if now - clip.arrival > self._longest_wait]
        if found:
            self.dropped(now)
        return found

    def dropped(self, now: float) -> None:
        """A clip was dropped because more come than are scored."""
        self._dropped_at = now

    def _rank(self, line: Line, now: float) -> tuple[bool, bool, float, float, float]:
        """Sorts lines, those to be served first in front: starving, free, near an alarm, served long ago."""
        served = self._served.setdefault(line, now)
        starving = now - served >= self._starved
        level = 0.0 if starving else -round(_LEVELS * line.standing.nearness)
        return not starving, not line.standing.is_free, level, served, _oldest(line)


def _oldest(line: Line) -> float:
    return line.pending_clips[0].arrival
