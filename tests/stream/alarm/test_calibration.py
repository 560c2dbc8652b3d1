"""One camera's calibration as a time line: what it learns, what nobody can teach it, what is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.alarm.calibration import Calibration
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError
from stream.alarm.threshold import Budget, State
from tests.stream.alarm.cameras import CHANNELS, CLIP, RULE, SETTINGS, Clip, feature, ordinary, watched

FIGHT = 4.0  # logit: twelve spreads above the middle camera


def kept(calibration: Calibration, budget: Budget | None = None) -> Calibration:
    """Written and read again, as over a restart."""
    return Calibration.from_json(
        json.loads(json.dumps(calibration.to_json())), calibration.settings, RULE, budget or calibration.alarms.budget
    )


def fight(seconds: float, begin: float, level: float = FIGHT, *, look: bool = False) -> Iterator[Clip]:
    for clip in ordinary(seconds, begin, level=level, seed=9):
        yield dataclasses.replace(clip, feature=feature(99)) if look else clip


def test_a_new_camera_scores_against_the_prior() -> None:
    calibration = Calibration(SETTINGS, RULE)
    found = calibration.observe(0.0, CLIP, SETTINGS.location)
    assert found.z == 0
    assert not found.known
    risen = calibration.observe(CLIP, 2 * CLIP, SETTINGS.location + 3 * SETTINGS.spread)
    assert risen.z == pytest.approx(3 / 2)  # the mean with the clip before
    assert calibration.state()["state"] == "learning"


def test_after_five_minutes_most_of_the_own_location_is_taken_off() -> None:
    camera = watched()
    before = np.mean([found.z for found in camera.see_all(ordinary(30, level=-1.0))])
    camera.see_all(ordinary(300, 30.0, level=-1.0, seed=1))
    after = camera.see(Clip(330.0, -1.0, None))
    assert after.known
    assert before > 1.3  # the prior's location, hardly less
    assert after.z == pytest.approx(0.3 * 1.0 / SETTINGS.spread, abs=0.7)


def test_a_still_scene_does_not_get_a_tiny_spread() -> None:
    camera = watched()
    camera.see_all(ordinary(3_600, spread=0.02))
    middle, spread = camera.calibration.ordinary.transform
    assert spread >= SETTINGS.spread_least * SETTINGS.spread
    assert middle == pytest.approx(SETTINGS.location, abs=0.05)


@pytest.mark.slow
def test_a_fight_that_comes_slowly_still_rings() -> None:
    camera = watched()
    camera.see_all(ordinary(1_800, scene=1))
    calm, deed = feature(1), feature(99)
    rung = len(camera.rung)
    for clip in ordinary(3_600, 1_800.0, level=0.0, spread=0.2):  # from 0 to 1 over an hour
        share = (clip.start - 1_800) / 3_600
        look = ((1 - share) * calm + share * deed).astype(np.float32)
        camera.see(Clip(clip.start, clip.logit + SETTINGS.location + share * (FIGHT - SETTINGS.location), look))
    assert len(camera.rung) > rung  # it rings on the way
    camera.see_all(ordinary(600, 5_400.0, scene=1))
    assert not camera.rule.active
    rung = len(camera.rung)
    camera.see_all(fight(10, 6_000.0, look=True))
    assert len(camera.rung) == rung + 1
    assert camera.rung[-1] < 6_003


def test_a_ramp_that_stays_below_the_threshold_moves_the_level_by_its_bound_alone() -> None:
    camera = watched()
    camera.see_all(ordinary(7_200, spread=0.3))
    level = camera.calibration.ordinary.level
    before = level.location
    for clip in ordinary(3_600, 7_200.0, level=0.0, spread=0.1):
        share = (clip.start - 7_200) / 3_600
        camera.see(Clip(clip.start, SETTINGS.location + clip.logit + 2.0 * share, None))
    # two anchors may fall into an hour
    assert level.location - before <= 2 * SETTINGS.step_per_hour + 0.2


def test_a_level_that_saw_nothing_but_a_fight_is_not_learnt() -> None:
    camera = watched()
    camera.see_all(fight(300, 0.0, look=True))
    assert camera.rung
    assert camera.calibration.ordinary.level.location * SETTINGS.spread <= SETTINGS.reach * SETTINGS.between + 1e-9
    again = watched()
    again.calibration = kept(camera.calibration)
    again.see_all(fight(5, 1_000.0, look=True))
    assert again.rung


def test_even_a_fight_whose_alarm_nobody_heard_is_not_learnt() -> None:
    calibration = Calibration(SETTINGS, RULE)
    for clip in fight(300, 0.0):  # as history of another tool: all of it is said to be ordinary
        calibration.observe(clip.start, clip.start + CLIP, clip.logit)
    assert calibration.score(FIGHT).z > SETTINGS.tail[3][0]


def test_clips_around_an_alarm_are_not_learnt() -> None:
    calibration = Calibration(SETTINGS, RULE)
    for index in range(400):
        start = index * CLIP
        alarm = 100 <= start < 130
        calibration.observe(start, start + CLIP, 1.0 if 85 <= start < 145 else -2.0, learn=not alarm)
    assert calibration.ordinary.level.location == pytest.approx(0, abs=0.1)
    assert calibration.ordinary.level.learnt == pytest.approx(400 * CLIP - 30 - 2 * 20 - 35, abs=10)  # the newest wait


def test_an_alarm_that_lasts_half_an_hour_is_a_new_level() -> None:
    camera = watched()
    camera.see_all(ordinary(3_600))
    learnt = camera.calibration.ordinary.level.learnt
    camera.see_all(ordinary(1_700, 3_600.0, level=FIGHT, seed=4))
    assert camera.calibration.ordinary.level.learnt <= learnt + 80
    camera.see_all(ordinary(600, 5_300.0, level=FIGHT, seed=5))
    assert camera.calibration.ordinary.level.learnt > learnt + 200


@pytest.mark.slow
def test_a_moved_scene_is_forgotten_and_said() -> None:
    camera = watched()
    camera.see_all(ordinary(7_200, level=-0.5, scene=1))
    camera.calibration.take_changes()
    camera.calibration.forget(7_200.0)
    assert [change.why for change in camera.calibration.take_changes()] == ["the scene moved"]
    assert camera.calibration.score(SETTINGS.location).z == 0
    assert len(camera.calibration.ordinary.features) == 0
    assert camera.calibration.state()["hours"] == 0


def test_two_scenes_in_turn_have_a_level_each() -> None:
    camera = watched()
    time = 0.0
    for turn in range(24):
        other = turn % 2
        camera.see_all(ordinary(60, time, level=-1.0 if other else -3.0, scene=other, seed=turn))
        time += 60
    calibration = camera.calibration
    assert len(calibration.ordinary.scenes) == 2
    camera.see_all(ordinary(20, time, level=-3.0, scene=0))
    low = calibration.ordinary.transform[0]
    camera.see_all(ordinary(20, time + 20, level=-1.0, scene=1))
    assert calibration.ordinary.transform[0] - low == pytest.approx(0.7 * 2.0, abs=0.3)
    assert calibration.ordinary.scenes.on_tour(time)
    assert not calibration.ordinary.scenes.on_tour(time + 2 * 86_400)
    assert any("in turn" in change.why for change in calibration.take_changes())


def test_an_incident_opens_no_scene() -> None:
    camera = watched()
    camera.see_all(ordinary(600, scene=1))
    camera.see_all(fight(60, 600.0, look=True))
    camera.see_all(ordinary(60, 660.0, scene=1))
    assert len(camera.calibration.ordinary.scenes) == 1


def test_what_was_never_seen_scores_higher() -> None:
    camera = watched(CalibrationSettings(novelty_weight=0.5))
    camera.see_all(ordinary(300, scene=1))
    like = [found.novelty for found in camera.see_all(ordinary(30, 300.0, scene=1, seed=5))]
    strange = camera.calibration.score(-2.0, feature(42))
    assert max(like) < 4
    assert strange.novelty == SETTINGS.novelty_limit
    assert strange.z > camera.calibration.score(-2.0, feature(1)).z + 1


def test_a_fixed_threshold_stays() -> None:
    calibration = Calibration(SETTINGS, RULE, Budget(threshold=0.7))
    for clip in ordinary(7_200, level=1.0):
        calibration.observe(clip.start, clip.start + CLIP, clip.logit)
    assert calibration.threshold.score == 0.7
    assert calibration.state()["mode"] == "fixed"
    calibration.set_budget(Budget(2.0), 7_200.0)
    assert calibration.state()["mode"] == "auto"
    assert [(change.old, change.why) for change in calibration.take_changes()][-1] == (0.7, "another budget")


def test_a_history_shorter_than_stated_is_learning() -> None:
    calibration = watched()
    calibration.see_all(ordinary(600))
    state = calibration.calibration.to_json()
    state["alarms"]["threshold"] |= {"state": "settled", "hours": 500.0}
    found = Calibration.from_json(state, SETTINGS, RULE, Budget())
    assert found.state()["state"] == "learning"
    assert found.state()["hours"] == pytest.approx(600 / 3_600, abs=0.01)


def test_a_gap_or_a_clock_set_back_harms_nothing() -> None:
    camera = watched()
    camera.see_all(ordinary(600, 10_000.0))
    camera.see_all(ordinary(600, 50_000.0, seed=1))
    camera.see_all(ordinary(600, 20_000.0, seed=2))
    found = camera.see_all(ordinary(600, 20_600.0, seed=3))
    assert found[-1].known
    assert camera.calibration.ordinary.level.learnt == pytest.approx(2_400, abs=100)


@pytest.mark.slow
def test_every_change_of_the_threshold_is_told() -> None:
    camera = watched()
    told = [camera.calibration.threshold.score]
    for hour in range(30):
        camera.see_all(ordinary(3_600, hour * 3_600.0, seed=hour))
        for change in camera.calibration.take_changes():
            assert change.old == told[-1]
            told.append(change.new)
        assert abs(camera.calibration.threshold.score - told[-1]) < 0.02
    assert camera.calibration.threshold.state is State.SETTLED
    assert len(told) > 1


CLIPS = st.lists(
    st.tuples(st.floats(-12, 12), st.integers(0, 3), st.booleans(), st.sampled_from([0.0, 0.0, 0.0, 30.0, -5.0])),
    min_size=1,
    max_size=60,
)


def run(calibration: Calibration, clips: list[tuple[float, int, bool, float]], begin: float) -> list[Any]:
    found = []
    for logit, look, learn, leap in clips:
        begin += leap + CLIP
        found.append(calibration.observe(begin, begin + CLIP, logit, feature(look), learn=learn))
    return found


@settings(max_examples=40)
@given(before=CLIPS, after=CLIPS)
def test_same_clips_same_results_to_the_bit_also_over_a_restart(before: Any, after: Any) -> None:
    quick = CalibrationSettings(
        guard_seconds=2.0, memory_seconds=0.5, memory=8, novelty_after=3, scene_seconds=2.0, smoothing=3
    )
    first, second = Calibration(quick, RULE), Calibration(quick, RULE)
    assert run(first, before, 0.0) == run(second, before, 0.0)
    restarted = kept(first)
    assert run(restarted, after, 500.0) == run(second, after, 500.0)
    assert json.dumps(restarted.to_json()) == json.dumps(second.to_json())


def test_the_state_is_bounded() -> None:
    sharp = CalibrationSettings(memory_per_hour=1e6)
    calibration = Calibration(sharp, RULE)
    rng = np.random.default_rng(0)
    for index in range(1_500):
        look = feature(index // 60 % 6, 1_024) * np.exp(0.3 * rng.standard_normal(1_024))
        calibration.observe(index * CLIP, (index + 1) * CLIP, rng.normal(-2, 0.5), look.astype(np.float32))
    for day in range(100):  # counts of two months
        calibration.observe(day * 86_400.0 + 5_000, day * 86_400.0 + 5_001, -2.0)
    assert len(json.dumps(calibration.to_json())) < 300_000


def wrong(*path: str, value: object) -> Any:
    calibration = watched()
    calibration.see_all(ordinary(120, scene=1))
    state: Any = json.loads(json.dumps(calibration.calibration.to_json()))
    place = state
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return state


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ([], "schema"),
        (wrong("schema", value=2), "schema is 2, expected 1"),
        (wrong("settings", value="x"), "settings that differ"),
        (wrong("extra", value=1), "unknown key extra"),
        (wrong("channels", value=17), "scene centre has shape .64., expected .17."),
        (wrong("transform", value=[0.0, float("nan")]), "not a finite number"),
        (wrong("transform", value=[0.0, 0.0]), "must be above 0"),
        (wrong("pending", "clips", value=3), "pending clips is not an array"),
        (wrong("features", "vectors", "data", value="AAAA"), "3 bytes, too few or too many"),
        (wrong("features", "vectors", "data", value="é"), "not base64"),
        (wrong("alarms", "counts", "days", value=None), "alarms numbers is not an array"),
        (wrong("scenes", "scenes", value=[]), "scenes is empty"),
        (wrong("alarms", "told", value=[0.5, "odd"]), "state is 'odd'"),
    ],
)
def test_a_wrong_state_is_refused_in_one_line(state: Any, said: str) -> None:
    with pytest.raises(CalibrationError, match=said) as caught:
        Calibration.from_json(state, SETTINGS, RULE)
    assert "\n" not in str(caught.value)


def test_wrong_clips_are_refused_and_change_nothing() -> None:
    camera = watched()
    camera.see_all(ordinary(60, scene=1))
    before = json.dumps(camera.calibration.to_json())
    for start, end, logit, look in (
        (60.0, 60.0, 0.0, None),
        (60.0, 61.0, float("nan"), None),
        (60.0, 61.0, 0.0, feature(1, CHANNELS + 1)),
        (60.0, 61.0, 0.0, np.full(CHANNELS, np.inf, np.float32)),
    ):
        with pytest.raises(ValueError, match=r"clip|logit|feature"):
            camera.calibration.observe(start, end, logit, look)
    assert json.dumps(camera.calibration.to_json()) == before


def test_a_true_alarm_is_no_false_one_of_the_budget() -> None:
    camera = watched()
    camera.see_all(ordinary(3_600))
    camera.see_all(fight(8, 3_600.0))
    camera.see_all(ordinary(1_000, 3_608.0))
    counts = camera.calibration.alarms.counts
    place = int(np.searchsorted(counts.levels, 7.0))
    before = counts.recent(24)[0][place]
    camera.calibration.excuse(3_600.0, SETTINGS.score(12.0))
    assert counts.recent(24)[0][place] == before - 1 == 0


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sprea", 1.0, "unknown setting sprea"),
        ("spread", 0.0, "spread is 0.0, must be above 0"),
        ("spread", float("inf"), "not a finite number"),
        ("memory", 4_000, "memory is 4000, must be from 4 to 256"),
        ("tail", [[3, 1]], "tail"),
        ("tail", [[3, 1], [2, 0.5]], "tail"),
        ("tail", 5, "tail"),
    ],
)
def test_wrong_settings_are_refused_by_name(key: str, value: object, said: str) -> None:
    with pytest.raises(CalibrationError, match=said):
        CalibrationSettings.from_mapping({key: value})


def test_settings_go_through_a_manifest() -> None:
    given = CalibrationSettings(location=-3.0, smoothing=3)
    assert CalibrationSettings.from_mapping(json.loads(json.dumps(given.to_mapping()))) == given


@given(st.floats(-500, 500))
def test_the_score_lies_in_0_to_1_and_leads_back(z: float) -> None:
    score = SETTINGS.score(z)
    assert 0 < score < 1
    if abs(z) < 15:
        assert SETTINGS.z_of(score) == pytest.approx(z, abs=1e-3)
