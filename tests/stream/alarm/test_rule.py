"""The alarm rule as a time line: clips of 0.64 s, thresholds 0.8 and 0.6, one second, cool-down of ten."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip

CLIP = 0.64
SETTINGS = AlarmSettings(0.8, 0.6, min_duration=1.0, cool_down=10.0, merge_gap=0.0)


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


def test_a_clock_that_is_set_back_keeps_no_alarm_waiting() -> None:
    hour = 3_600.0
    rule = AlarmRule(SETTINGS)
    play(rule, [0.9, 0.9, 0.1], start=hour)  # ends, and the clock is set back by an hour
    assert play(rule, [0.1] * 16 + [0.9, 0.9], start=0.0)[-1] is Change.STARTED
    falling = AlarmRule(AlarmSettings(0.8, 0.6, min_duration=1.0, merge_gap=3.0))
    play(falling, [0.9, 0.9, 0.1], start=hour)
    assert Change.ENDED in play(falling, [0.1] * 6, start=0.0)
    beginning = AlarmRule(SETTINGS)
    play(beginning, [0.9], start=hour)
    assert Change.STARTED in play(beginning, [0.9] * 3, start=0.0)


def test_a_lost_camera_closes_the_alarm_once() -> None:
    rule = AlarmRule(SETTINGS)
    play(rule, [0.9, 0.9])
    assert rule.end(5.0) is True
    assert rule.end(6.0) is False
    assert play(rule, [0.9, 0.9], start=6.0) == [None, None]  # cooling down


@pytest.mark.parametrize("min_duration", [0.0, 0.64])
def test_a_short_minimum_rings_at_the_first_clip(min_duration: float) -> None:
    assert play(AlarmRule(AlarmSettings(0.8, 0.6, min_duration)), [0.8]) == [Change.STARTED]


MERGING = AlarmSettings(0.8, 0.6, min_duration=0.0, cool_down=10.0, merge_gap=2.0)


def test_a_score_that_comes_back_within_the_gap_goes_on_with_the_same_alarm() -> None:
    rule = AlarmRule(MERGING)
    changes = play(rule, [0.9, 0.1, 0.7, 0.1, 0.85, 0.9, 0.1])  # low from 0.64 on, back at 2.56
    assert changes == [Change.STARTED, None, None, None, None, None, None]
    assert rule.active


def test_after_the_gap_it_ended_where_it_fell() -> None:
    rule = AlarmRule(MERGING)
    assert play(rule, [0.9, 0.9, 0.1, 0.7, 0.7, 0.7, 0.95])[-1] is Change.ENDED  # the last begins 2.56 s after the fall
    assert rule.end_time == 2 * CLIP


def test_a_camera_lost_in_the_gap_ended_where_it_fell() -> None:
    rule = AlarmRule(MERGING)
    play(rule, [0.9, 0.1])
    assert rule.end(9.0) is True
    assert rule.end_time == CLIP


def test_at_most_so_many_an_hour() -> None:
    rule = AlarmRule(AlarmSettings(0.8, 0.6, 0.0, cool_down=0.0, merge_gap=0.0, hourly_cap=2))
    assert play(rule, [0.9, 0.1, 0.9, 0.1]) == [Change.STARTED, Change.ENDED] * 2
    assert play(rule, [0.9, 0.9, 0.1], start=100.0) == [Change.CAPPED, None, Change.ENDED]
    assert rule.capped
    assert play(rule, [0.9], start=3601.0) == [Change.STARTED]  # the first of the two was over an hour ago
    assert not rule.capped


def test_an_alarm_that_is_suppressed_for_another_reason_leaves_room_for_one_more() -> None:
    rule = AlarmRule(AlarmSettings(0.8, 0.6, 0.0, cool_down=0.0, merge_gap=0.0, hourly_cap=1))
    play(rule, [0.9])
    rule.discount()
    assert play(rule, [0.1, 0.9, 0.1, 0.9], start=100.0)[1::2] == [Change.STARTED, Change.CAPPED]
    rule.discount()  # it did not count anyway
    assert play(rule, [0.1, 0.9], start=200.0)[1] is Change.CAPPED


def test_a_moved_threshold_keeps_the_share_of_hysteresis() -> None:
    moved = SETTINGS.with_threshold(0.4)
    assert moved.threshold_on == 0.4
    assert moved.threshold_off == pytest.approx(0.3)
    assert moved.cool_down == SETTINGS.cool_down


@given(st.lists(st.floats(0, 1), max_size=60))
def test_starts_and_ends_alternate(scores: list[float]) -> None:
    rule = AlarmRule(AlarmSettings(0.8, 0.6, 1.0, 2.0, merge_gap=1.0))
    changes = [c for c in play(rule, scores) if c in (Change.STARTED, Change.ENDED)]
    assert all(a is not b for a, b in itertools.pairwise(changes))
    assert not changes or changes[0] is Change.STARTED
    assert rule.active == (bool(changes) and changes[-1] is Change.STARTED)
