"""What is believed of a camera before it is known: `CalibrationSettings`, measured on cameras at large.

Every number comes from logits of heads that never saw the camera. The tail is what the live rule counts at its
thresholds on ordinary footage, and beyond the few loudest alarms an exponential.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import FloatArray
from recipes.field.features import Footage
from recipes.field.watch import Scores, count
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmSettings
from stream.alarm.tail import grid

SHORTEST: Final = 5.0  # seconds of ordinary footage that tell where a camera stands
_COUNTED: Final = 8  # alarms from which on a rate is taken as it was counted
_DAY: Final = 86_400.0
_STEPS: Final = 6


@dataclass(frozen=True)
class Camera:
    """An ordinary recording, or the calm of another one."""

    source: str
    footage: Footage
    scores: Scores


def measured(cameras: Sequence[Camera], chosen: Mapping[str, object], alarm: AlarmSettings) -> CalibrationSettings:
    """Prior settings for heads like those that scored the cameras; `chosen` are the settings that are not measured."""
    middles, spreads, weights = [], [], []
    for camera in cameras:
        raw = camera.scores.calm[1] if camera.scores.calm else camera.scores.whole
        if len(raw) < 3 or float(camera.footage.length) < SHORTEST:
            continue
        low, middle, high = np.quantile(_logit(raw), (0.16, 0.5, 0.84))
        middles.append(middle)
        spreads.append((high - low) / 2)
        weights.append(1 / sum(other.source == camera.source for other in cameras))
    location = _median(middles, weights)
    between = 1.4826 * _median([abs(middle - location) for middle in middles], weights)
    settings = CalibrationSettings.from_mapping(
        {**chosen, "location": location, "between": between, "spread": _median(spreads, weights)}
    )
    return replace(settings, tail=_tail(cameras, settings, alarm))


def _tail(
    cameras: Sequence[Camera], settings: CalibrationSettings, alarm: AlarmSettings
) -> tuple[tuple[float, float], ...]:
    """Alarms a day at rising thresholds, of cameras that know their own level."""
    alarms, seconds = np.zeros(len(grid(settings))), 0.0
    for camera in cameras:
        own, watched = count(camera.footage, camera.scores, settings, alarm)
        alarms, seconds = alarms + own, seconds + watched
    return exponential_tail(grid(settings), alarms, seconds)


def exponential_tail(
    levels: NDArray[np.float64], alarms: NDArray[np.float64], seconds: float
) -> tuple[tuple[float, float], ...]:
    """Rows (z, alarms a day) from how many alarms were counted at each level in so many seconds.

    From the level on where fewer than eight are left the rate falls as an exponential with the mean excess of those.
    """
    falling = np.maximum.accumulate(alarms[::-1])[::-1]
    known = falling >= _COUNTED
    last = int(np.flatnonzero(known)[-1]) if known.any() else 0
    at = max(float(falling[last]), 1.0)
    excess = float((falling[last + 1 :] * np.diff(levels)[last:]).sum()) / at
    scale = max(excess, 0.2)
    rows = [(float(levels[i]), float(falling[i]) / seconds * _DAY) for i in range(0, last, 3)]
    rows += [(float(levels[last]) + k * scale, at * np.exp(-k) / seconds * _DAY) for k in range(_STEPS)]
    kept = rows[:1]
    for z, rate in rows[1:]:
        if rate < 0.999 * kept[-1][1]:
            kept.append((z, rate))
    return tuple((round(z, 3), float(f"{rate:.4g}")) for z, rate in kept)


def _logit(score: FloatArray) -> FloatArray:
    inside = np.clip(score.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inside / (1 - inside)))


def _median(values: Sequence[float], weights: Sequence[float]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(np.asarray(weights)[order])
    return float(np.asarray(values)[order][int(np.searchsorted(reached, reached[-1] / 2))])
