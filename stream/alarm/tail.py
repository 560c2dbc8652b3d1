"""How many alarms a camera would have raised at every threshold: the alarm rule at 64 thresholds side by side.

It counts alarms, not clips: minimum duration, hysteresis, merge gap and cool-down are those of the live rule. Counts
are kept by hour for two days, and by day for two months.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, members, optional_number, pack, unpack
from stream.alarm.rule import AlarmSettings

LEVELS: Final = 64
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0
_HOURS_KEPT: Final = 48
_DAYS_KEPT: Final = 60
_SLACK: Final = 1e-6
_NO_OVERLAP: Final = 0.75  # clips that follow each other may overlap a little, because frames jitter
_KEYS: Final = (
    "active", "begun", "fell", "quiet", "newest", "end", "hours", "hour_counts", "hour_seconds", "days", "day_counts",
    "day_seconds",
)  # fmt: skip

FloatVector = NDArray[np.float64]


def grid(settings: CalibrationSettings) -> FloatVector:
    """The thresholds (64,), in z, rising in equal ratios."""
    return np.geomspace(settings.threshold_least, settings.threshold_most, LEVELS)


class AlarmCounts:
    """Alarms of one camera at each threshold of the grid. Takes every clip in order; times in seconds."""

    def __init__(self, settings: CalibrationSettings, rule: AlarmSettings) -> None:
        self._rule = rule
        self.levels = grid(settings)
        share = rule.threshold_off / rule.threshold_on if rule.threshold_on else 1.0
        self._off = np.array([settings.z_of(share * settings.score(z)) for z in self.levels])
        self.lowest = float(self.levels[0])
        self._active = np.zeros(LEVELS, np.bool_)
        self._begun = np.full(LEVELS, np.nan)
        self._fell = np.full(LEVELS, np.nan)
        self._quiet = np.full(LEVELS, -np.inf)
        self.newest = self._end = -math.inf
        self.idle = True  # no alarm is open or beginning: clips below `lowest` change nothing
        self._hours = _Buckets(_HOUR)
        self._days = _Buckets(_DAY)

    def advance(self, start: float, end: float, z: float) -> int:
        """Take a clip. Returns how many of the grid's thresholds, from the lowest, it set off."""
        self.expose(start, end)
        if self.idle and z < self.lowest:
            return 0
        begun, fell, quiet, rule = self._begun, self._fell, self._quiet, self._rule
        on, was = z >= self.levels, self._active.copy()
        fell[was & (z < self._off) & np.isnan(fell)] = start
        over = was & (start - fell >= rule.merge_gap)
        quiet[over] = fell[over] + rule.cool_down
        self._active[over] = False
        fell[over | (was & on)] = np.nan
        may = ~was & on & (start >= quiet)
        begun[may & np.isnan(begun)] = start
        begun[~was & ~may | over] = np.nan
        rung = may & (end - begun >= rule.min_duration - _SLACK)
        self._active |= rung
        self.idle = not (self._active.any() or (~np.isnan(begun)).any())
        if not rung.any():
            return 0
        self._hours.count(rung)
        self._days.count(rung)
        return int(np.flatnonzero(rung)[-1]) + 1

    def expose(self, start: float, end: float) -> None:
        """Time passes without anything that could raise an alarm (`advance` calls it). The clips were from `start` to
        `end`.
        """
        lasted = end - start
        if start < self.newest:
            self._set_back(start)
        elif 0 < end - self._end < _NO_OVERLAP * lasted:  # what clips share counts once
            lasted = end - self._end
        self.newest, self._end = start, end  # for several clips: start of the first; no alarm is open then
        self._hours.at(start, lasted, _HOURS_KEPT)
        self._days.at(start, lasted, _DAYS_KEPT)

    def interrupt(self) -> None:
        """A new connection: open alarms end."""
        ended = np.where(np.isnan(self._fell), self._end, self._fell) + self._rule.cool_down
        self._quiet = np.where(self._active, ended, self._quiet)
        self._active[:] = False
        self._begun[:] = self._fell[:] = np.nan
        self.idle = True

    def _set_back(self, now: float) -> None:
        """The clock was set back: treat times ahead of it as now."""
        self._quiet = np.minimum(self._quiet, now + self._rule.cool_down)
        self._begun = np.fmin(self._begun, np.where(np.isnan(self._begun), np.nan, now))
        self._fell = np.fmin(self._fell, np.where(np.isnan(self._fell), np.nan, now))

    def excuse(self, time: float, z: float) -> None:
        """An alarm at `time` that reached `z` was a true one, so it does not count."""
        at = self.levels <= z
        self._hours.excuse(time, at)
        self._days.excuse(time, at)

    def recent(self, hours: int) -> tuple[FloatVector, float]:
        """Alarms at each threshold (64,) in the last `hours` (48 at most), and seconds watched."""
        return self._hours.weighted(lambda age: (age < hours).astype(np.float64))

    def remembered(self, half_life_days: float) -> tuple[FloatVector, float]:
        """Alarms (64,) and seconds watched, older days with less weight."""
        return self._days.weighted(lambda age: 0.5 ** (age / half_life_days))

    def by_day(self) -> NDArray[np.float64]:
        """Alarms of each remembered day at each threshold, (days, 64)."""
        return self._days.counts.astype(np.float64)

    @property
    def watched(self) -> bool:
        """Whether any clip has come."""
        return not math.isinf(self.newest)

    @property
    def hours(self) -> float:
        """Watched and remembered."""
        return float(self._days.seconds.sum()) / _HOUR

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "active": pack(self._active),
            "begun": pack(self._begun),
            "fell": pack(self._fell),
            "quiet": pack(self._quiet),
            "newest": None if math.isinf(self.newest) else self.newest,
            "end": None if math.isinf(self._end) else self._end,
            "hours": pack(self._hours.numbers),
            "hour_counts": pack(self._hours.counts),
            "hour_seconds": pack(self._hours.seconds),
            "days": pack(self._days.numbers),
            "day_counts": pack(self._days.counts),
            "day_seconds": pack(self._days.seconds),
        }

    @classmethod
    def from_json(cls, value: object, settings: CalibrationSettings, rule: AlarmSettings) -> AlarmCounts:
        """Raises CalibrationError for invalid content."""
        given = members(value, "alarms", _KEYS)
        found = cls(settings, rule)
        found._active = unpack(given["active"], "alarms active", "|b1", (LEVELS,))
        found._begun, found._fell, found._quiet = (
            unpack(given[key], f"alarms {key}", "<f8", (LEVELS,), finite=False) for key in ("begun", "fell", "quiet")
        )
        if np.isnan(found._quiet).any() or np.isinf(found._begun).any() or np.isinf(found._fell).any():
            raise CalibrationError("calibration: alarms quiet, begun or fell contains numbers that are not finite")
        newest, end = (optional_number(given[key], f"alarms {key}") for key in ("newest", "end"))
        found.newest = -math.inf if newest is None else newest
        found._end = -math.inf if end is None else end
        found.idle = not (found._active.any() or (~np.isnan(found._begun)).any())
        found._hours = _Buckets.restored(
            _HOUR, given["hours"], given["hour_counts"], given["hour_seconds"], _HOURS_KEPT
        )
        found._days = _Buckets.restored(_DAY, given["days"], given["day_counts"], given["day_seconds"], _DAYS_KEPT)
        return found


class _Buckets:
    """Counts (n, 64) and seconds (n,) by hour or day; `numbers` (n,) are epoch hours or days, rising."""

    def __init__(self, span: float) -> None:
        self._span = span
        self.numbers = np.zeros(0)
        self.counts = np.zeros((0, LEVELS), np.uint16)
        self.seconds = np.zeros(0)
        self._open = -math.inf

    def at(self, time: float, seconds: float, most: int) -> None:
        """`seconds` watched from `time`; a time before the newest bucket (after a step back of the clock) counts
        there.
        """
        number = time // self._span
        if number > self._open:
            keep = self.numbers > number - most
            self.numbers = np.append(self.numbers[keep], number)
            self.counts = np.vstack([self.counts[keep], np.zeros((1, LEVELS), np.uint16)])
            self.seconds = np.append(self.seconds[keep], 0.0)
            self._open = number
        self.seconds[-1] += seconds

    def count(self, rung: NDArray[np.bool_]) -> None:
        """One more alarm in the newest bucket at these thresholds."""
        self.counts[-1] += (rung & (self.counts[-1] < 65_535)).astype(np.uint16)

    def excuse(self, time: float, at: NDArray[np.bool_]) -> None:
        """One alarm less."""
        for place in np.flatnonzero(self.numbers == time // self._span):
            self.counts[place] -= (at & (self.counts[place] > 0)).astype(np.uint16)

    def weighted(self, weight: Any) -> tuple[FloatVector, float]:
        """Sums with weights by age in hours or days."""
        if not len(self.numbers):
            return np.zeros(LEVELS), 0.0
        weights = weight(self.numbers[-1] - self.numbers)
        return weights @ self.counts, float((weights * self.seconds).sum())

    @classmethod
    def restored(cls, span: float, numbers: object, counts: object, seconds: object, most: int) -> _Buckets:
        found = cls(span)
        found.numbers = unpack(numbers, "alarms numbers", "<f8", (None,))
        if len(found.numbers) > most or (np.diff(found.numbers) <= 0).any():
            raise CalibrationError(f"calibration: alarms numbers must be at most {most} rising hours or days")
        found.counts = unpack(counts, "alarms counts", "<u2", (len(found.numbers), LEVELS))
        found.seconds = unpack(seconds, "alarms seconds", "<f8", (len(found.numbers),))
        if (found.seconds < 0).any():
            raise CalibrationError("calibration: alarms seconds are below 0")
        found._open = float(found.numbers[-1]) if len(found.numbers) else -math.inf
        return found
