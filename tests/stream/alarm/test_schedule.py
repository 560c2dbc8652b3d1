"""Weekly periods on the site's clock."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stream.alarm.schedule import DAYS, Period, Schedule, kept_schedule, overlap, periods_of

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = Schedule(tuple(periods_of(["fri", "sun"], 22 * 60, 6 * 60)), BERLIN)


@pytest.mark.parametrize(
    ("at", "covered"),
    [
        ("2026-11-27T21:59", False),  # a Friday
        ("2026-11-27T22:00", True),
        ("2026-11-28T05:59", True),
        ("2026-11-28T06:00", False),
        ("2026-11-28T23:00", False),  # no Saturday
        ("2026-11-29T23:00", True),
        ("2026-11-30T03:00", True),  # from Sunday over the week's end into Monday
        ("2026-11-30T23:00", False),
    ],
)
def test_a_period_belongs_to_the_day_on_which_it_begins(at: str, covered: bool) -> None:
    assert NIGHTS.covers(datetime.fromisoformat(at).replace(tzinfo=BERLIN).timestamp()) is covered


def test_many_times_are_covered_as_one_by_one_and_a_kept_schedule_is_the_same() -> None:
    monday = datetime(2026, 10, 24, tzinfo=BERLIN).timestamp()  # the clock goes back on the 25th
    times = monday + np.arange(0.0, 9 * 86_400, 1_799.5)
    for schedule in (NIGHTS, Schedule(), Schedule(NIGHTS.periods)):
        assert schedule.covered(times).tolist() == [schedule.covers(at) for at in times.tolist()]
        assert kept_schedule(schedule.as_text()) == schedule
    assert NIGHTS.covered(times[:0]).tolist() == []


def test_the_clock_is_the_sites() -> None:
    at = datetime(2026, 11, 27, 21, 30, tzinfo=ZoneInfo("UTC")).timestamp()  # half past ten in Berlin
    assert NIGHTS.covers(at)
    assert not Schedule(NIGHTS.periods, ZoneInfo("UTC")).covers(at)


def test_on_the_night_when_the_clock_goes_back_the_hour_counts_twice() -> None:
    hour = Schedule(tuple(periods_of(["sun"], 2 * 60, 3 * 60)), BERLIN)
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN).timestamp()
    assert hour.covers(first)
    assert hour.covers(first + 3600)
    assert not hour.covers(first + 7200)


def test_without_periods_it_is_always_on() -> None:
    assert Schedule().covers(0.0)


def test_a_whole_week() -> None:
    always = Schedule(tuple(periods_of(DAYS, 0, 24 * 60)), BERLIN)
    assert all(always.covers(hour * 3600.0) for hour in range(200))


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        (Period(0, 60), Period(60, 120), None),
        (Period(0, 61), Period(60, 120), 60),
        (Period(9960, 10440), Period(300, 400), 300),  # Sunday night and Monday morning
        (Period(300, 400), Period(9960, 10440), 300),
        (Period(9960, 10080), Period(0, 400), None),
    ],
)
def test_overlap(one: Period, other: Period, first: int | None) -> None:
    assert overlap(one, other) == first
