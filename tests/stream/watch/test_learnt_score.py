"""What a camera has learned, over restarts and from files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np
import pytest

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError
from stream.alarm.rule import AlarmSettings
from stream.watch.learnt_score import ScoreLearner
from tests.stream.alarm.cameras import CLIP, Clip, ordinary

SETTINGS = CalibrationSettings()
ALARM = AlarmSettings(0.95, 0.76)
EPOCH = 1_795_000_000.0


def learner() -> ScoreLearner:
    return ScoreLearner(SETTINGS, ALARM)


def show(learner: ScoreLearner, clips: Iterable[Clip], later: float = 0.0) -> list[float]:
    scores = []
    for clip in clips:
        raw, start = 1 / (1 + math.exp(-clip.logit)), clip.start + later
        assert clip.feature is not None
        scores.append(learner.score(start, start + CLIP, raw, clip.feature[None], learn=True).score)
    return scores


def settled() -> ScoreLearner:
    """It has watched a camera of another level than others for ten minutes."""
    found = learner()
    show(found, ordinary(600, level=-0.5, scene=1))
    return found


def test_a_calibration_of_a_recording_serves_a_live_camera_as_it_serves_another_recording() -> None:
    kept = json.loads(json.dumps(settled().to_json()))
    replay, live, new = learner(), learner(), learner()
    replay.resume(kept)
    live.resume(kept)
    clips = list(ordinary(300, level=-0.5, scene=1, seed=3))
    of_replay = show(replay, clips)
    # which clips are learned together may differ by one, as times are rounded
    np.testing.assert_allclose(show(live, clips, EPOCH), of_replay, atol=1e-3)
    assert np.mean(show(new, clips)[:30]) > np.mean(of_replay[:30]) + 0.05  # it starts from its own level


def test_one_of_a_live_camera_keeps_the_hour_of_the_day() -> None:
    first = learner()
    show(first, ordinary(600, level=-0.5, scene=1), EPOCH)
    again = learner()
    again.resume(first.to_json())
    next_week = 7 * 86_400.0 + 3_600.0
    show(again, ordinary(60, level=-0.5, scene=1), EPOCH + next_week)
    kept = again.to_json()
    assert kept is not None
    assert kept["ahead"] == 8 * 86_400.0  # whole days


def test_a_restart_keeps_the_level_and_the_threshold() -> None:
    first = settled()
    kept = json.loads(json.dumps(first.to_json()))
    again = learner()
    again.recall(kept)
    assert again.in_force() == first.in_force()
    clips = list(ordinary(300, 600.0, level=-0.5, scene=1, seed=3))
    assert show(again, clips) == show(first, clips)
    resumed = learner()
    resumed.resume(kept)
    show(resumed, clips, EPOCH)
    restarted = learner()
    restarted.recall(json.loads(json.dumps(resumed.to_json())))
    later = list(ordinary(300, 900.0, level=-0.5, scene=1, seed=4))
    assert show(restarted, later, EPOCH) == show(resumed, later, EPOCH)


@pytest.mark.parametrize("kept", [{}, {"calibration": {}, "lookalikes": {}, "more": 1}, {"calibration": {}}, None, []])
def test_what_is_no_learned_state_is_refused(kept: object) -> None:
    with pytest.raises(CalibrationError, match="not a stored state of a camera"):
        learner().resume(kept)
