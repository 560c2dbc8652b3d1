"""The alarm rule as a time line: clips of 0.64 s, thresholds 0.8 and 0.6, one second, cool-down of ten."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.alarms import AlarmRule, AlarmSettings, Change, ScoredClip

CLIP = 0.64
SETTINGS = AlarmSettings(0.8, 0.6, min_duration=1.0, cool_down=10.0)


def play(rule: AlarmRule, scores: list[float], start: float = 0.0) -> list[Change | None]:
    return [rule.advance(ScoredClip(start + i * CLIP, start + (i + 1) * CLIP, s)) for i, s in enumerate(scores)]


def test_two_clips_above_make_an_alarm_that_began_with_the_first() -> None:
    rule = AlarmRule(SETTINGS)
    assert play(rule, [0.1, 0.85, 0.9]) == [None, None, Change.STARTED]
    assert rule.start_time == CLIP
    assert rule.top_score == 0.9


def test_one_clip_above_is_no_alarm() -> None:
    assert play(AlarmRule(SETTINGS), [0.9, 0.1, 0.9, 0.1]) == [None] * 4


def test_between_the_thresholds_it_goes_on_and_below_it_ends() -> None:
    changes = play(AlarmRule(SETTINGS), [0.9, 0.9, 0.7, 0.61, 0.59])
    assert changes == [None, Change.STARTED, None, None, Change.ENDED]


def test_only_a_higher_top_score_is_told() -> None:
    rule = AlarmRule(SETTINGS)
    assert play(rule, [0.9, 0.9, 0.88, 0.95, 0.95, 0.96]) == [
        None, Change.STARTED, None, Change.ROSE, None, Change.ROSE,
    ]  # fmt: skip
    assert rule.top_score == 0.96


def test_cool_down_after_the_end() -> None:
    rule = AlarmRule(SETTINGS)
    play(rule, [0.9, 0.9, 0.1])  # ends at 1.28
    assert Change.STARTED not in play(rule, [0.9] * 13, start=3 * CLIP)  # clips that start before 11.28
    assert play(rule, [0.9, 0.9], start=12.0) == [Change.STARTED, None] or rule.active


def test_a_lost_camera_closes_the_alarm_once() -> None:
    rule = AlarmRule(SETTINGS)
    play(rule, [0.9, 0.9])
    assert rule.end(5.0) is True
    assert rule.end(6.0) is False
    assert play(rule, [0.9, 0.9], start=6.0) == [None, None]  # cooling down


@pytest.mark.parametrize("min_duration", [0.0, 0.64])
def test_a_short_minimum_rings_at_the_first_clip(min_duration: float) -> None:
    assert play(AlarmRule(AlarmSettings(0.8, 0.6, min_duration)), [0.8]) == [Change.STARTED]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_starts_and_ends_alternate(scores: list[float]) -> None:
    rule = AlarmRule(AlarmSettings(0.8, 0.6, 1.0, 2.0))
    changes = [c for c in play(rule, scores) if c in (Change.STARTED, Change.ENDED)]
    assert all(a is not b for a, b in itertools.pairwise(changes))
    assert not changes or changes[0] is Change.STARTED
    assert rule.active == (bool(changes) and changes[-1] is Change.STARTED)
