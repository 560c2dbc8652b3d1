"""Steady time: about epoch seconds, but continued by a clock that cannot be set.

All ages, timeouts and orders use steady time. The wall clock is only used for what people and other machines see.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

# Includes the time of a suspended machine, and is the same for all processes.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> float:
    """Seconds since the machine was started."""
    return time.clock_gettime(_CLOCK)


def boot_id() -> str:
    """Identifies this run of the machine; "" if unavailable."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class SteadyClock:
    """`offset` is steady time minus seconds since the machine was started."""

    offset: float

    @classmethod
    def by_the_wall(cls) -> Self:
        """A clock that agrees with the wall clock now."""
        return cls(time.time() - since_boot())

    def now(self) -> float:
        return since_boot() + self.offset

    def stamp(self, path: Path) -> None:
        """Let a file's age count from now: its time becomes steady time. Raises OSError."""
        os.utime(path, (now := self.now(), now))
