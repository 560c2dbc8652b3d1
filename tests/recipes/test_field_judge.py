from __future__ import annotations

import math
from pathlib import Path

import pytest

from recipes.field.judge import Alarm, judge, median_delay, rate_bound, share_interval
from recipes.field.recordings import Incident, Recording, groups

FIGHT = Incident("fight", True, False, 10.0, 20.0)


@pytest.mark.parametrize(
    ("alarms", "found", "delay", "false"),
    [
        ([], False, None, 0),
        ([Alarm(9.0, 9.5, 12.0)], True, 0.0, 0),  # a second early is not too early
        ([Alarm(8.9, 9.4, 25.0)], False, None, 1),  # it began earlier: it finds nothing
        ([Alarm(22.0, 22.5, 24.0)], True, 12.5, 0),
        ([Alarm(22.1, 22.6, 24.0)], False, None, 1),
        ([Alarm(2.0, 2.5, 4.0), Alarm(12.0, 12.5, 15.0)], True, 2.5, 1),
        ([Alarm(30.0, 30.5, 95.0)], False, None, 3),  # 65 s: counted again for each 30 s
        ([Alarm(12.0, 12.5, 90.0)], True, 2.5, 0),
    ],
)
def test_alarms_on_a_recording_with_an_incident(
    alarms: list[Alarm], found: bool, delay: float | None, false: int
) -> None:
    verdict = judge(alarms, FIGHT, 0.0, 100.0)
    assert (verdict.found, verdict.delay, verdict.false) == (found, delay, false)
    assert verdict.ordinary == 100.0 - 13.0


def test_history_is_not_ordinary_time_though_an_alarm_in_it_is_false() -> None:
    verdict = judge([Alarm(2.0, 2.5, 4.0)], FIGHT, 0.0, 100.0, history=(0.0, 9.0))
    assert (verdict.false, verdict.ordinary) == (1, 100.0 - 13.0 - 9.0)


def test_every_alarm_on_an_ordinary_recording_is_false() -> None:
    verdict = judge([Alarm(1.0, 1.5, 2.0), Alarm(40.0, 40.5, 41.0)], None, 0.0, 60.0)
    assert (verdict.false, verdict.ordinary, verdict.false_at) == (2, 60.0, (1.0, 40.0))


def test_no_false_alarm_in_33_minutes_bounds_the_rate_at_five_and_a_half_an_hour() -> None:
    assert rate_bound(0, 33 / 60) == pytest.approx(5.45, abs=0.05)
    assert rate_bound(1, 1.0) > rate_bound(0, 1.0)


def test_a_missed_incident_counts_in_the_delay() -> None:
    assert median_delay([1.0, None, None]) == math.inf
    assert median_delay([1.0, 2.0, None]) == 2.0


def test_the_interval_of_a_share_widens_with_fewer_sources() -> None:
    many = share_interval([True, False] * 20, [str(i) for i in range(40)])
    few = share_interval([True, False] * 20, ["a", "b"] * 20)
    assert many[1] - many[0] < few[1] - few[0]


def test_calm_before_an_incident_then_after_it() -> None:
    def of(start: float, end: float) -> Recording:
        return Recording("x", Path("x"), "s", Incident("fight", True, False, start, end), True)

    assert of(8.0, 12.0).calm(30.0) == (0.0, 7.0)
    assert of(3.0, 12.0).calm(30.0) == (14.0, 30.0)
    assert of(3.0, 12.0).calm(15.0) is None
    assert Recording("x", Path("x"), "s", None, True).calm(30.0) == (0.0, 15.0)


def test_groups_split_sources_and_nothing_else() -> None:
    weights = {f"s{i}": 1 + i % 3 for i in range(7)}
    found = groups(weights, 3)
    assert sorted(source for group in found for source in group) == sorted(weights)
    sums = [sum(weights[source] for source in group) for group in found]
    assert max(sums) - min(sums) <= 3
