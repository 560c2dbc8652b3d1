"""The state of the wall clock when a message was created, so that its times can be corrected if the clock is set
later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UNSET_BEFORE: Final = 1_700_000_000.0  # epoch time before this program existed: a clock that has not been set yet


@dataclass(frozen=True)
class WallMark:
    """Times came from a wall clock that was `shift` seconds ahead of steady time, in the machine's run `boot`."""

    boot: str
    shift: float

    def correction(self, now: WallMark, start: float) -> float:
        """Seconds to add to times from `start` on, taken under this mark, given the clock `now`.

        In another run of the machine it is unknown whether the clock was set or the machine was off. Only times from a
        clock that had never been set are certainly wrong.
        """
        unset = start < UNSET_BEFORE <= start + now.shift - self.shift
        return now.shift - self.shift if unset or self.boot == now.boot else 0.0


def local_time(epoch: float, zone: tzinfo | None) -> str:
    """ISO 8601 with milliseconds and offset; `zone` None: that of the machine."""
    return datetime.fromtimestamp(epoch).astimezone(zone).isoformat(timespec="milliseconds")


def zone_name(zone: tzinfo | None) -> str | None:
    """The name of the zone, to be stored; `zone_of` reads it."""
    return zone.key if isinstance(zone, ZoneInfo) else None


def zone_of(name: str | None) -> tzinfo | None:
    """The zone with that name; None: that of the machine, also if this machine does not know the name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
