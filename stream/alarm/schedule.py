"""When a camera may raise alarms: weekly periods in the site's time zone. Pure: the time is passed in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY


@dataclass(frozen=True)
class Period:
    """A period of the week: `begin` and `end` in minutes from Monday 00:00; an `end` past the week runs into the
    next.
    """

    begin: int
    end: int


@dataclass(frozen=True)
class Schedule:
    """`periods` in the time zone `zone` (None: that of the machine); without periods it is always on.

    Wall-clock time is used, so on the days of a time change a period is an hour longer or shorter.
    """

    periods: tuple[Period, ...] = ()
    zone: tzinfo | None = None

    def covers(self, epoch: float) -> bool:
        """Whether alarms may begin at that epoch time (seconds)."""
        if not self.periods:
            return True
        at = datetime.fromtimestamp(epoch, self.zone)
        minute = at.weekday() * _DAY + at.hour * 60 + at.minute
        return any(period.begin <= minute + turn < period.end for period in self.periods for turn in (0, _WEEK))

    def covered(self, epochs: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`covers` of each, for many epoch times of a month: every minute is looked up once."""
        if not self.periods or not len(epochs):
            return np.ones(len(epochs), np.bool_)
        minutes = (epochs // 60).astype(np.int64)
        first = int(minutes.min())
        table = np.array([self.covers(60.0 * minute) for minute in range(first, int(minutes.max()) + 1)])
        return np.asarray(table[minutes - first])

    def as_text(self) -> str:
        """As text, to be stored; `kept_schedule` reads it."""
        periods = [[period.begin, period.end] for period in self.periods]
        return json.dumps({"periods": periods, "zone": self.zone.key if isinstance(self.zone, ZoneInfo) else None})


def kept_schedule(text: str) -> Schedule:
    """What `as_text` wrote."""
    kept = json.loads(text)
    zone = None if kept["zone"] is None else ZoneInfo(kept["zone"])
    return Schedule(tuple(Period(begin, end) for begin, end in kept["periods"]), zone)


def periods_of(days: Sequence[str], begin: int, end: int) -> list[Period]:
    """A period on each of `days`, in minutes of the day; an `end` that is not after `begin` is the next day's."""
    lasts = end - begin if end > begin else end + _DAY - begin
    starts = [DAYS.index(day) * _DAY + begin for day in days]
    return [Period(start, start + lasts) for start in starts]


def overlap(one: Period, other: Period) -> int | None:
    """The first minute of the week that two periods share, None if there is none."""
    for turn in (-_WEEK, 0, _WEEK):
        first = max(one.begin, other.begin + turn)
        if first < min(one.end, other.end + turn):
            return first % _WEEK
    return None
