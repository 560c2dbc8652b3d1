"""Which mode is in force, and what it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from stream.alarm.modes import CameraMode, Mode, ModeSwitch
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Period, Schedule

ALARM = AlarmSettings(0.8, 0.6)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
HOUR = 3_600.0


def at(first: float, last: float) -> Mode:
    """In force from hour to hour of a Monday."""
    return Mode(schedule=Schedule((Period(int(first * 60), int(last * 60)),), UTC))


def test_schedules_choose_unless_somebody_has() -> None:
    switch = ModeSwitch({"night": at(0, 6), "home": Mode(), "late": at(5, 8), "away": Mode()})
    assert [switch.name(MONDAY + hour * HOUR) for hour in (1, 5.5, 7, 12)] == ["night", "night", "late", "home"]
    switch.choose("away")
    assert switch.name(MONDAY + HOUR) == "away"
    switch.choose("auto")
    assert switch.name(MONDAY + HOUR) == "night"
    assert ModeSwitch({"night": at(0, 6)}).name(MONDAY + 7 * HOUR) == "none"


def test_an_unknown_mode_is_refused_and_one_that_is_gone_forgotten() -> None:
    switch = ModeSwitch({"home": Mode(), "away": Mode()}, "garden")
    assert switch.chosen == "auto"
    with pytest.raises(ValueError, match="no such mode: 'night'; must be home, away, auto"):
        switch.choose("night")


def test_other_modes_take_the_place_of_the_first_ones() -> None:
    switch = ModeSwitch({})
    assert not switch.options
    with pytest.raises(ValueError, match="the site file has no `modes`"):
        switch.choose("home")
    switch.replace({"home": Mode(), "away": Mode()})
    assert switch.options == ("home", "away", "auto")
    switch.choose("away")
    switch.replace({"away": Mode(CameraMode(enabled=False))})
    assert switch.chosen == "away"
    switch.replace({"home": Mode()})
    assert (switch.chosen, switch.name(MONDAY)) == ("auto", "home")


def test_what_a_mode_changes_for_a_camera() -> None:
    every = CameraMode(enabled=False, false_alarms_per_day=3.0)
    mode = Mode(every, {"door": CameraMode(enabled=True), "hall": CameraMode(threshold_on=0.4)})
    assert mode.of("yard") == every
    assert mode.of("door") == CameraMode(enabled=True, false_alarms_per_day=3.0)
    assert mode.of("hall") == CameraMode(enabled=False, threshold_on=0.4)  # a threshold takes the place of a budget
    assert mode.of("hall").alarm(ALARM) == ALARM.with_threshold(0.4)
    assert mode.of("yard").alarm(ALARM.with_threshold(0.4)) == replace(
        ALARM.with_threshold(0.4), false_alarms_per_day=3.0, learnt=True
    )
    assert CameraMode().alarm(ALARM) == ALARM
