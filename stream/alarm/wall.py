"""What the wall clock said when a message was made, so that its times can be corrected once the clock has been set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UNSET_BEFORE: Final = 1_700_000_000.0  # epoch time before this program existed: a clock that nobody has set yet


@dataclass(frozen=True)
class WallMark:
    """Times were taken from a wall clock that was `shift` seconds ahead of steady time, in the machine's run `boot`."""

    boot: str
    shift: float

    def correction(self, now: WallMark, start: float) -> float:
        """Seconds to add to times from `start` on, taken under this mark, as the clock stands `now`.

        In another run of the machine nobody knows whether the clock was set or the machine was off; only times of a
        clock that had never been set are certainly wrong.
        """
        unset = start < UNSET_BEFORE <= start + now.shift - self.shift
        return now.shift - self.shift if unset or self.boot == now.boot else 0.0


def local_time(epoch: float, zone: tzinfo | None) -> str:
    """ISO 8601 with milliseconds and offset; `zone` None: the machine's."""
    return datetime.fromtimestamp(epoch).astimezone(zone).isoformat(timespec="milliseconds")


def zone_name(zone: tzinfo | None) -> str | None:
    """To be stored; `zone_of` reads it."""
    return zone.key if isinstance(zone, ZoneInfo) else None


def zone_of(name: str | None) -> tzinfo | None:
    """The zone of that name; None: the machine's, also where this machine does not know the name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
