"""The threshold that keeps a budget of false alarms, learned from a prior and the camera's own alarms. Pure.

At each threshold the expected number of alarms per day is a Gamma-Poisson mean of two rates: the prior's rate, weighted
as a number of days (fewer as evidence grows), and the alarms that the live rule would have counted. The lowest
threshold whose expectation keeps the budget is chosen.

To react to changes that the long memory has not seen yet, the last 6 and 24 hours must not contain more alarms at the
threshold than a camera within its budget has in 99 of 100 such periods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, number
from stream.alarm.tail import AlarmCounts, grid

_DAY: Final = 86_400.0
_Z: Final = 1.959964
_RARE: Final = 0.01
_WINDOWS: Final = (6, 24)  # hours
_MOST_DISPERSION: Final = 10.0

FloatVector = NDArray[np.float64]


class State(StrEnum):
    """The basis of a threshold."""

    LEARNING = "learning"  # too little history: the prior counts
    SETTLED = "settled"  # the camera's own history
    DRIFTING = "drifting"  # the last hours differ from the history


@dataclass(frozen=True)
class Budget:
    """Either `false_alarms_per_day`, or a fixed `threshold` (a score in (0, 1)), which then takes precedence.

    Raises CalibrationError for a budget that is not above 0, or a threshold outside [0, 1].
    """

    false_alarms_per_day: float = 1.0
    threshold: float | None = None
    notices_per_day: float = 0.0

    def __post_init__(self) -> None:
        if number(self.false_alarms_per_day, "false_alarms_per_day", 0, 10_000) <= 0:
            raise CalibrationError(f"calibration: false_alarms_per_day is {self.false_alarms_per_day}, must be above 0")
        number(self.notices_per_day, "notices_per_day", 0, 10_000)
        if self.threshold is not None:
            number(self.threshold, "threshold", 0, 1)

    @property
    def for_notices(self) -> Budget | None:
        """What the threshold of notices has to keep; None: there are none."""
        return Budget(self.notices_per_day) if self.notices_per_day else None


@dataclass(frozen=True)
class Threshold:
    """In z and as a score, with the expected false alarms per day (`low` to `high`: 95 %).

    `hours`: time watched. `recent`: the last hours determined it, not the long memory.
    """

    z: float
    score: float
    per_day: float
    low: float
    high: float
    hours: float
    state: State
    recent: bool


def learnt_threshold(
    counts: AlarmCounts, budget: Budget, settings: CalibrationSettings, *, drifting: bool = False
) -> Threshold:
    """The threshold in force after `counts`; `drifting`: the caller knows that the camera has changed."""
    levels, prior = counts.levels, prior_rates(settings)
    own, seconds = counts.remembered(settings.half_life_days)
    days = seconds / _DAY
    prior_days = settings.tail_prior_days**2 / (settings.tail_prior_days + days)  # the prior fades as evidence grows
    rates = _falling((prior_days * prior + own) / (prior_days + days))
    z, recent = _crossing(levels, rates, budget.false_alarms_per_day), False
    if budget.threshold is not None:
        z = settings.z_of(budget.threshold)
    else:
        for hours in _WINDOWS:
            alarms, watched = counts.recent(hours)
            most = _usual_most(budget.false_alarms_per_day * max(watched, hours * 3_600.0) / _DAY)
            guard = _crossing(levels, _falling(alarms), most)
            if guard > z:
                recent, z = recent or guard > 1.05 * z, guard
    score = settings.score(z) if budget.threshold is None else budget.threshold
    expected = float(np.exp(np.interp(z, levels, np.log(np.maximum(rates, 1e-9)))))
    low, high = _interval(counts, z, expected, prior_days + days)
    hours_watched = counts.hours
    state = State.LEARNING if hours_watched < settings.settled_hours else State.SETTLED
    if recent or (drifting and state is State.SETTLED):
        state = State.DRIFTING
    return Threshold(z, score, expected, low, high, hours_watched, state, recent)


def prior_rates(settings: CalibrationSettings) -> FloatVector:
    """Alarms per day of cameras in general at the grid's thresholds (64,): exponential between and beyond the rows."""
    rows = np.array(settings.tail, np.float64)
    levels, logs = grid(settings), np.log(rows[:, 1])
    inside = np.interp(levels, rows[:, 0], logs)
    first = (logs[1] - logs[0]) / (rows[1, 0] - rows[0, 0])
    last = (logs[-1] - logs[-2]) / (rows[-1, 0] - rows[-2, 0])
    below = np.minimum(levels - rows[0, 0], 0) * first
    beyond = np.maximum(levels - rows[-1, 0], 0) * last
    return np.exp(inside + below + beyond)


def _falling(rates: FloatVector) -> FloatVector:
    """Never rising with the threshold: at low thresholds, where all alarms merge into one, at least as many as
    above.
    """
    return np.maximum.accumulate(rates[::-1])[::-1]


def _crossing(levels: FloatVector, rates: FloatVector, most: float) -> float:
    """The lowest threshold whose rate is at most `most`, interpolated on the grid by the logarithm of the rates."""
    within = np.flatnonzero(rates <= most)
    if not len(within):
        return float(levels[-1])
    first = int(within[0])
    if first == 0:
        return float(levels[0])
    above, below = math.log(rates[first - 1]), math.log(max(float(rates[first]), 1e-3 * most))
    part = (above - math.log(most)) / max(above - below, 1e-9)
    return float(levels[first - 1] + min(part, 1.0) * (levels[first] - levels[first - 1]))


def _usual_most(mean: float) -> float:
    """The smallest count, from 1, that a Poisson variable with this mean exceeds in at most one of 100 cases."""
    term = total = math.exp(-min(mean, 700.0))
    count = 0
    while total < 1 - _RARE and count < 10 * mean + 20:
        count += 1
        term *= mean / count
        total += term
    return float(max(1, count))


def _interval(counts: AlarmCounts, z: float, expected: float, days: float) -> tuple[float, float]:
    """The interval that contains the true rate in 95 of 100 cases: a Gamma posterior, widened by the daily
    variation.
    """
    by_day = counts.by_day()
    spread = 1.0
    if len(by_day) >= 4:
        place = min(int(np.searchsorted(counts.levels, z)), len(counts.levels) - 1)
        daily = by_day[1:-1, place]  # whole days
        if daily.mean() > 0:
            spread = min(max(1.0, float(daily.var() / daily.mean())), _MOST_DISPERSION)
    shape = expected * days / spread
    low = _chi_square(2 * shape, -_Z) / 2 if shape > 0 else 0.0
    return low * spread / days, _chi_square(2 * shape + 2, _Z) / 2 * spread / days


def _chi_square(degrees: float, z: float) -> float:
    """The quantile at the normal quantile `z` (Wilson and Hilferty 1931)."""
    part = 2 / (9 * degrees)
    return degrees * max(0.0, 1 - part + z * math.sqrt(part)) ** 3
