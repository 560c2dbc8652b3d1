"""The simulation of `benchmarks` runs what runs live: its short cuts change no alarm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.calibrated_rule import CalibratedRule
from benchmarks.simulated_cameras import CLIP, Day, World, camera_days
from stream.alarm.calibration import Calibration
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.threshold import Budget
from tests.stream.alarm.cameras import RULE, Clip, Watched

WORLD = World(cameras=1, days=1, bursts_a_day=300.0)
SETTINGS = CalibrationSettings(tail=((2.5, 30.0), (3.5, 3.0)))


def some_hours(hours: float, moved: float | None) -> Day:
    day = next(camera_days(WORLD, 0))
    part = slice(int(9 * 3_600 / CLIP), int((9 + hours) * 3_600 / CLIP))
    return dataclasses.replace(day, starts=day.starts[part], logits=day.logits[part], moved=moved)


def test_the_generator_gives_the_same_days_again() -> None:
    assert np.array_equal(some_hours(0.1, None).logits, some_hours(0.1, None).logits)


@pytest.mark.slow
@pytest.mark.parametrize("moved", [None, 36_000.0])
def test_short_cuts_change_no_alarm(moved: float | None) -> None:
    day = some_hours(2, moved)
    rule = CalibratedRule(SETTINGS, Budget(50.0))
    found = [alarm.start for alarm in rule.alarms(day)]
    live = Watched(Calibration(SETTINGS, RULE, Budget(50.0)))
    for start, logit in zip(day.starts.tolist(), day.logits.tolist(), strict=True):
        if moved is not None and start >= moved:
            live.calibration.forget(start)
            moved = None
        live.see(Clip(start, logit, None))
    assert len(found) > 1
    assert np.allclose(found, live.rung[: len(found)], atol=2 * CLIP)
    assert rule.calibration.threshold.z == pytest.approx(live.calibration.threshold.z, rel=1e-6)
    assert rule.calibration.ordinary.level.location == pytest.approx(live.calibration.ordinary.level.location, rel=1e-6)
