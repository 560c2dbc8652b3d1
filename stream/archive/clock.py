"""The clock of the service: steady time that continues over restarts, and the difference of the wall clock from it.

The scoring loop, retention and the outbox use steady time. Messages, scores and pages show wall-clock time. At the
first start both agree. If the wall clock is set, only the difference changes.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Final

from stream.alarm.wall import WallMark
from stream.archive.retention import DAY
from stream.base.clock import SteadyClock, boot_id, since_boot

STEP: Final = 0.5  # seconds; smaller differences are delays in reading the clock
_READ_WITHIN: Final = 0.05
_LEAST_OFF: Final = 20.0  # no machine restarts faster


class Clock:
    """`now` is steady time. Any thread may read it; one calls `look`."""

    def __init__(self, steady: SteadyClock, shift: float = 0.0, boot: str = "") -> None:
        self.steady = steady
        self.mark = WallMark(boot or boot_id(), shift)

    def now(self) -> float:
        return self.steady.now()

    def wall(self, at: float) -> float:
        """The wall-clock time at steady time `at`, as the clock is set now."""
        return at + self.mark.shift

    def look(self) -> float | None:
        """By how many seconds the wall clock was set since the last call; None if it was not."""
        before, wall = self.now(), time.time()
        if self.now() - before > _READ_WITHIN:  # this process was delayed in between
            return None
        step = wall - before - self.mark.shift
        if abs(step) < STEP:
            return None
        self.mark = WallMark(self.mark.boot, self.mark.shift + step)
        return step


@dataclass(frozen=True)
class KeptClock:
    """The clocks when they were stored: run of the machine, seconds since its start, steady and wall time."""

    boot: str
    since_boot: float
    steady: float
    wall: float

    @classmethod
    def of(cls, clock: Clock) -> KeptClock:
        now = since_boot()
        steady = now + clock.steady.offset
        return cls(clock.mark.boot, now, steady, clock.wall(steady))

    def steady_at(self, boot: str, running: float, wall: float) -> float:
        """Steady time now, from the `wall` clock, in the run `boot` of the machine, `running` seconds after its start.

        Only the wall clock tells how long the machine was off. Whole days are ignored, so that a clock that was wrong
        while the machine started makes nothing older by more than a day.
        """
        if boot and boot == self.boot:
            return self.steady + running - self.since_boot
        off = wall - self.wall
        return self.steady + (max(_LEAST_OFF, off % DAY) if off > 0 else _LEAST_OFF)


class ClockStore:
    """Part of the open store: same thread, same transactions, errors of sqlite3."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def keep(self, clock: Clock) -> None:
        """Store the state of the clocks."""
        kept = KeptClock.of(clock)
        row = (kept.boot, kept.since_boot, kept.steady, kept.wall)
        self._database.execute("INSERT OR REPLACE INTO clock VALUES (0, ?, ?, ?, ?)", row)

    def kept(self) -> KeptClock | None:
        row = self._database.execute("SELECT boot, since_boot, steady, wall FROM clock").fetchone()
        return None if row is None else KeptClock(*row)

    def note_step(self, at: float, seconds: float) -> None:
        """The wall clock was set by so many seconds at steady time `at`."""
        self._database.execute("INSERT INTO clock_steps VALUES (?, ?)", (at, seconds))

    def steps(self) -> list[tuple[float, float]]:
        """Each time the wall clock was set: when, in steady time, and by how many seconds; oldest first."""
        return self._database.execute("SELECT at, seconds FROM clock_steps ORDER BY at").fetchall()


def continued(kept: KeptClock | None) -> tuple[Clock, float]:
    """The clock that continues from the stored one, and by how many seconds the wall clock was set meanwhile (0: not).

    In another run of the machine, whole days in which it was off count as such a step.
    """
    boot, running, wall = boot_id(), since_boot(), time.time()
    if kept is None:
        return Clock(SteadyClock(wall - running), 0.0, boot), 0.0
    steady = kept.steady_at(boot, running, wall)
    before = kept.wall - kept.steady
    step = wall - steady - before
    step = step if abs(step) >= STEP else 0.0
    return Clock(SteadyClock(steady - running), before + step, boot), step
