"""Verdicts on composed recordings, in which the same thing happens twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recipes.field.bench import Held
from recipes.field.features import Footage
from recipes.field.recordings import Incident, Recording
from recipes.field.verdicts import verdict_effects
from recipes.field.watch import Scores
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmSettings

CLIPS, FIRST, SECOND, LENGTH = 200, 60, 150, 6


def composed(incident: Incident | None, other: bool) -> tuple[Recording, Footage, Scores]:
    """Two minutes in which the score rises twice; the second time with `other` features or with the same."""
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(1, 0.02, (CLIPS, 1, 64))).astype(np.float32)
    raw = rng.normal(0.1, 0.01, CLIPS).astype(np.float32)
    looks = rng.random((2, 64))
    for begin, seen in ((FIRST, looks[0]), (SECOND, looks[int(other)])):
        features[begin : begin + LENGTH, 0] = seen
        raw[begin : begin + LENGTH] = 0.999
    start = np.arange(CLIPS) * 0.64
    half = CLIPS // 2
    halves = (slice(0, half), raw[:half]), (slice(half, CLIPS), raw[half:])
    recording = Recording("composed", Path("composed.mp4"), "source", judged=True, incident=incident)
    return recording, Footage(start, start + 0.64, features), Scores(raw, None, halves[1], halves)


@pytest.mark.parametrize("other", [False, True])
def test_a_false_alarm_that_comes_again_is_silenced_and_another_is_not(other: bool) -> None:
    recording, footage, scores = composed(None, other)
    held = [Held(CalibrationSettings(), {"composed": scores})]
    for row in verdict_effects({"composed": recording}, {"composed": footage}, held, AlarmSettings(0.9, 0.7)):
        assert row["ordinary"] == {"judged": 1, "without": 1, "with": int(other)}


@pytest.mark.slow
@pytest.mark.parametrize("other", [False, True])
def test_a_verdict_hides_only_an_incident_that_looks_like_the_false_alarm(other: bool) -> None:
    incident = Incident("fight", True, False, SECOND * 0.64, (SECOND + LENGTH) * 0.64)
    recording, footage, scores = composed(incident, other)
    held = [Held(CalibrationSettings(), {"composed": scores})]
    for row in verdict_effects({"composed": recording}, {"composed": footage}, held, AlarmSettings(0.9, 0.7)):
        assert row["incidents"] == {"of": 1, "judged": 1, "without": 1, "with": int(other)}
