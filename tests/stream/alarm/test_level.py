"""A camera's level over days: hours of the day, bounds, forgetting."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError
from stream.alarm.level import Level

HOUR = 3_600.0
SETTINGS = CalibrationSettings()


def learn(level: Level, hours: float, begin: float = 0.0, *, cycle: float = 0.0, shift: float = 0.0) -> list[float]:
    """Ordinary logits with a daily cycle (spreads); returns how far each minute's median lies from 0 in z."""
    rng = np.random.default_rng(int(begin))
    off = []
    for minute in range(round(hours * 60)):
        time = begin + 60.0 * minute
        middle = cycle * np.sin(2 * np.pi * time / (24 * HOUR)) + shift
        logits = SETTINGS.location + SETTINGS.spread * (middle + rng.standard_normal(94))
        centre, spread = level.transform(time)
        off.append(float((np.median(logits) - centre) / spread))
        level.learn(time + 60, logits, 60.0)
    return off


@pytest.mark.slow
def test_the_hours_of_the_day_are_learnt() -> None:
    level = Level(SETTINGS)
    first = learn(level, 24, cycle=2.0)
    learn(level, 8 * 24, 24 * HOUR, cycle=2.0)
    later = learn(level, 24, 9 * 24 * HOUR, cycle=2.0)
    assert np.std(first) > 0.8
    assert np.std(later) < 0.45


@pytest.mark.slow
def test_the_unit_stays_the_same_where_the_level_wanders_within_hours() -> None:
    level = Level(SETTINGS)
    units = []
    for day in range(12):
        for hour in range(24):
            learn(level, 1, (24.0 * day + hour) * HOUR, shift=2.0 * np.sin(7.0 * (24 * day + hour) ** 1.3))
            units.append(level.transform((24.0 * day + hour) * HOUR)[1])
    assert np.mean(units[-24:]) == pytest.approx(np.mean(units[:24]), rel=0.15)


@pytest.mark.slow
def test_a_new_level_is_followed_over_hours_not_at_once() -> None:
    level = Level(SETTINGS)
    learn(level, 48)
    learn(level, 1, 48 * HOUR, shift=4.0)
    assert level.location <= 2 * SETTINGS.step_per_hour
    learn(level, 16, 49 * HOUR, shift=4.0)
    assert level.location > 2.5


def test_in_the_first_minutes_it_moves_within_reach_of_the_prior_then_by_its_step() -> None:
    level = Level(SETTINGS)
    reach = SETTINGS.reach * SETTINGS.between / SETTINGS.spread
    learn(level, 0.15, shift=20.0)
    assert level.location == pytest.approx(reach)
    assert level.bounded
    learn(level, 0.9, 540.0, shift=20.0)
    assert level.location == pytest.approx(reach + SETTINGS.step_per_hour)


def test_the_spread_is_drawn_to_that_of_others_and_held() -> None:
    level = Level(SETTINGS)
    rng = np.random.default_rng(0)
    widths = []
    for minute in range(60 * 48):
        logits = SETTINGS.location + 2.0 * SETTINGS.spread * rng.standard_normal(94)
        level.learn(60.0 * minute, logits, 60.0)
        widths.append(level.spread)
    assert widths[5] < 1.05
    assert 1.3 < widths[-1] < 2.0


def test_it_goes_through_json_to_the_bit() -> None:
    level = Level(SETTINGS)
    learn(level, 30, cycle=1.0)
    again = Level.from_json(json.loads(json.dumps(level.to_json())), SETTINGS)
    assert learn(again, 2, 30 * HOUR) == learn(level, 2, 30 * HOUR)
    with pytest.raises(CalibrationError, match="level lacks recent"):
        Level.from_json({}, SETTINGS)
    level._recent._weights[3] = -1
    with pytest.raises(CalibrationError, match="level recent has weights below 0"):
        Level.from_json(level.to_json(), SETTINGS)
