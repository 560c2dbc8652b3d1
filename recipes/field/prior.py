"""What is believed of a camera before it is known: `CalibrationSettings`, measured on cameras at large.

Every number comes from logits of heads that never saw the camera. The tail is what the live rule counts at its
thresholds on ordinary footage, and beyond the loudest alarm an exponential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recipes.field.features import Footage
from recipes.field.parts import logit
from recipes.field.watch import Scores
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.tail import grid

FEWEST: Final = 5  # clips of ordinary footage that tell where a camera stands
_FEW: Final = 8  # alarms, from whose mean excess the tail beyond the loudest one is taken
_DAY: Final = 86_400.0
_STEPS: Final = 6
_ROWS: Final = 16
_LEAST_SCALE: Final = 0.3  # spreads


@dataclass(frozen=True)
class Camera:
    """An ordinary recording, or the calm of another one."""

    source: str
    footage: Footage
    scores: Scores


def population(cameras: Sequence[Camera], chosen: Mapping[str, object]) -> CalibrationSettings:
    """Where cameras stand, by their ordinary logits; `chosen` are the settings that are not measured."""
    middles, spreads, weights = [], [], []
    for camera in cameras:
        raw = np.concatenate([half for _, half in camera.scores.halves])
        if len(raw) < FEWEST:
            continue
        low, middle, high = np.quantile(logit(raw), (0.16, 0.5, 0.84))
        middles.append(middle)
        spreads.append((high - low) / 2)
        weights.append(1 / sum(other.source == camera.source for other in cameras))
    location = _median(middles, weights)
    between = 1.4826 * _median([abs(middle - location) for middle in middles], weights)
    return CalibrationSettings.from_mapping(
        {**chosen, "location": location, "between": between, "spread": _median(spreads, weights)}
    )


def with_tail(
    settings: CalibrationSettings, counted: Sequence[tuple[NDArray[np.float64], float]]
) -> CalibrationSettings:
    """The same with alarms a day at rising thresholds, from the alarms (64,) and seconds counted on each camera."""
    alarms = np.sum([alarms for alarms, _ in counted], axis=0)
    return replace(settings, tail=exponential_tail(grid(settings), alarms, sum(seconds for _, seconds in counted)))


def exponential_tail(
    levels: NDArray[np.float64], alarms: NDArray[np.float64], seconds: float
) -> tuple[tuple[float, float], ...]:
    """Rows (z, alarms a day) from how many alarms were counted at each level in so many seconds.

    The k-th loudest alarm stands for k - 0.5 of them (Hazen's plotting position). Beyond the loudest the rate falls as
    an exponential with the mean excess of the few loudest.
    """
    falling = np.maximum.accumulate(alarms[::-1])[::-1]
    few = int(np.flatnonzero(falling >= _FEW)[-1]) if (falling >= _FEW).any() else 0
    excess = float((falling[few + 1 :] * np.diff(levels)[few:]).sum()) / max(float(falling[few]) - 1, 1.0)
    scale = max(excess, _LEAST_SCALE)
    a_day = _DAY / seconds
    rows: list[tuple[float, float]] = []
    for reached in np.unique(falling[falling > 0])[::-1]:  # the highest level that so many reach
        rows.append((float(levels[np.flatnonzero(falling >= reached)[-1]]), (float(reached) - 0.5) * a_day))
    if not rows:
        rows = [(float(levels[0]), 0.5 * a_day)]
    loudest, rate = rows[-1]
    rows = rows[:: max(1, len(rows) // _ROWS)] if len(rows) > _ROWS else rows
    rows = [row for row in rows if row[0] < loudest] + [(loudest, rate)]
    rows += [(loudest + step * scale, rate * float(np.exp(-step))) for step in range(1, _STEPS)]
    return tuple((round(z, 3), float(f"{rate:.4g}")) for z, rate in rows)


def _median(values: Sequence[float], weights: Sequence[float]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(np.asarray(weights)[order])
    return float(np.asarray(values)[order][int(np.searchsorted(reached, reached[-1] / 2))])
