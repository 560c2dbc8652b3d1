"""A camera that is silent for a while: its alarms are stored and listed, but not published. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LONGEST_SNOOZE: Final = 7 * 1_440.0  # minutes
TAMPERING: Final = "tampering"  # this kind of event rings through


class Snooze:
    """`until` is steady time, None while there is no snooze; `wall` converts it to epoch time."""

    def __init__(self, wall: Callable[[float], float] = lambda at: at) -> None:
        self._wall = wall
        self.until: float | None = None

    @property
    def ends_at(self) -> float | None:
        """When it ends, in epoch seconds; None: no snooze."""
        until = self.until  # other threads read it
        return None if until is None else round(self._wall(until), 3)

    def silences(self, at: float, kind: str) -> bool:
        """Whether an alarm of that kind stays silent at steady time `at`."""
        return self.until is not None and at < self.until and kind != TAMPERING

    def over(self, now: float) -> bool:
        """Whether it has run out."""
        return self.until is not None and now >= self.until
