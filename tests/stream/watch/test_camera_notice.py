"""Notices of one camera, told as a time line: clips of 0.64 s, an alarm at 0.8, a notice at 0.5."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import EventMessage, ModelName
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Period, Schedule
from stream.alarm.snooze import Snooze
from stream.archive.explanation import Explanation
from stream.base.addresses import Source
from stream.camera.messages import ClipReady
from stream.camera.view import View
from stream.settings.settings import CameraConfig
from stream.watch.camera_alarm import NewestClip
from stream.watch.camera_notice import CameraNotice
from stream.watch.watched_camera import Scored, WatchedCamera
from tests.stream.watch.test_watched_camera import nothing_known

ALARM = AlarmSettings(0.8, 0.6, 0.0, cool_down=1.0, merge_gap=1.0, hourly_cap=2)
NOTICE = ALARM.with_threshold(0.5)
CONFIG = CameraConfig(Source("door", "rtsp://door/1", live=True), ALARM)
MODEL = ModelName("b", "0" * 64, "openvino")
WINDOW = Explanation(
    np.array([[0.0, 0.64]]), np.zeros((1, 1, 4), np.float32), np.ones(1, np.float32), 0.5, "b",
    np.zeros((1, 112, 112, 3), np.uint8), View(),
)  # fmt: skip


def newest(number: int, score: float, like: str | None = None) -> NewestClip:
    ready = ClipReady(0, number, number * 0.64, (number + 1) * 0.64, 0.0, 0)
    return NewestClip(ready, score, score, 1, lambda: WINDOW, lambda _event: like, lambda: "unknown")


def made(config: CameraConfig = CONFIG) -> CameraNotice:
    return CameraNotice(config, lambda: MODEL, ALARM, lambda at: at, Snooze())


def play(notice: CameraNotice, scores: list[float], first: int = 0, like: str | None = None) -> list[list[str]]:
    """The types of the messages of each clip; an alarm is open where the score is 0.8 or more."""
    told: list[list[str]] = []
    for number, score in enumerate(scores, first):
        noticed = notice.advance(newest(number, score, like), NOTICE, alarm=score >= 0.8)
        assert (noticed.explanation is not None) == any(m.type == "new" for m in noticed.messages)
        told.append([str(m.type) for m in noticed.messages])
    return told


def test_a_score_that_raises_no_alarm_is_a_notice_a_moment_later() -> None:
    notice = made()
    assert play(notice, [0.6, 0.55, 0.1, 0.1, 0.1]) == [[], [], [], ["new"], ["end"]]


def test_an_alarm_that_follows_within_that_moment_takes_its_place() -> None:
    notice = made()
    assert play(notice, [0.6, 0.9, 0.9, 0.1, 0.1]) == [[]] * 5


def test_an_open_notice_ends_with_the_alarm_and_none_follows_it_at_once() -> None:
    notice = made()
    assert play(notice, [0.6, 0.6, 0.6, 0.6]) == [[], [], [], ["new"]]
    (end,) = notice.advance(newest(4, 0.9), NOTICE, alarm=True).messages
    assert (end.type, end.end_reason, end.severity) == ("end", "alarm", "notice")
    assert play(notice, [0.6, 0.1, 0.6, 0.6, 0.6, 0.6], first=5) == [[], [], [], [], [], ["new"]]


def test_one_that_gave_way_does_not_count_towards_the_hourly_cap() -> None:
    notice = made()
    for first in range(0, 60, 6):
        play(notice, [0.6, 0.9, 0.1, 0.1, 0.1, 0.1], first)
    told: list[EventMessage] = []
    first = 60
    for _ in range(3):
        for number, score in enumerate([0.6] * 4 + [0.1] * 6, first):
            told += notice.advance(newest(number, score), NOTICE, alarm=False).messages
        first += 10
    assert [(m.type, m.suppressed) for m in told if m.type == "new"] == [("new", None)] * 2 + [("new", "hourly_cap")]


def test_one_that_resembles_a_false_alarm_is_suppressed() -> None:
    notice, told = made(), list[EventMessage]()
    for number in range(4):
        told += notice.advance(newest(number, 0.6, "1000.00-abcdef"), NOTICE, alarm=False).messages
    assert [(m.suppressed, m.resembles) for m in told] == [("lookalike", "1000.00-abcdef")]


def test_closing_ends_an_open_one_and_forgets_one_that_is_held_back() -> None:
    notice = made()
    play(notice, [0.6] * 4)
    end = notice.close("camera_lost")
    assert end is not None
    assert end.end_reason == "camera_lost"
    assert play(notice, [0.6], first=10) == [[]]
    assert notice.close("camera_lost") is None
    assert play(notice, [0.1] * 5, first=11) == [[]] * 5


def test_none_without_a_threshold_of_their_own() -> None:
    notice = made()
    play(notice, [0.6] * 4)
    assert [m.type for m in notice.advance(newest(4, 0.6), None, alarm=False).messages] == ["end"]
    assert not notice.advance(newest(5, 0.6), None, alarm=False).messages


def test_off_schedule_there_is_none() -> None:
    notice = made(replace(CONFIG, schedule=Schedule((Period(0, 1),))))
    assert play(notice, [0.6] * 8) == [[]] * 8


# the whole camera

SETTINGS = CalibrationSettings(smoothing=1)


def camera(alarm: AlarmSettings) -> WatchedCamera:
    return WatchedCamera(replace(CONFIG, alarm=alarm), MODEL, calibration=SETTINGS)


def shown(watched: WatchedCamera, number: int, z: float) -> Scored:
    """A clip that scores `z` in spreads of a camera that has learnt nothing yet."""
    middle, spread = SETTINGS.location, SETTINGS.spread
    raw = 1 / (1 + np.exp(-(middle + spread * z)))
    ready = ClipReady(0, number, number * 0.64, (number + 1) * 0.64, 0.0, 0)
    watched.push(ready, np.zeros((1, 64), np.float32))
    return watched.scored(ready, np.array([raw], np.float32), nothing_known)


def notices(watched: WatchedCamera, zs: list[float]) -> list[EventMessage]:
    return [message for number, z in enumerate(zs) for message in shown(watched, number, z).noticed.messages]


def thresholds(watched: WatchedCamera) -> tuple[float, float | None]:
    notice = watched.learner.notice_in_force()
    return watched.learner.in_force().threshold_on, None if notice is None else notice.threshold_on


def test_ten_a_day_have_a_lower_threshold_than_one_alarm_a_day() -> None:
    watched = camera(AlarmSettings(0.95, 0.76, 0.5))
    alarm, notice = (SETTINGS.z_of(value or 0.0) for value in thresholds(watched))
    assert notice < alarm
    found = notices(watched, [0.0] * 3 + [(alarm + notice) / 2] * 5 + [0.0] * 8)
    assert [(m.type, m.severity) for m in found] == [("new", "notice"), ("end", "notice")]
    assert found[0].threshold_on == thresholds(watched)[1]
    assert not watched.alarming
    assert watched.alarm.event is None


@pytest.mark.parametrize(
    ("alarm", "some"),
    [
        (AlarmSettings(0.95, 0.76), True),
        (AlarmSettings(0.95, 0.76, notices_per_day=0.0), False),
        (AlarmSettings(0.95, 0.76, false_alarms_per_day=24.0), False),  # more than the default ten notices
        (AlarmSettings(0.95, 0.76, false_alarms_per_day=24.0, notices_per_day=100.0), True),
        (AlarmSettings(0.95, 0.76).with_threshold(0.99), False),
        (replace(AlarmSettings(0.95, 0.76).with_threshold(0.999), notices_per_day=10.0), True),
    ],
)
def test_they_are_off_for_fixed_thresholds_unless_asked_for(alarm: AlarmSettings, some: bool) -> None:
    assert (thresholds(camera(alarm))[1] is not None) == some


def test_another_budget_holds_at_once_and_a_restart_keeps_it() -> None:
    watched = camera(AlarmSettings(0.95, 0.76))
    few = thresholds(watched)[1]
    watched.configure(replace(CONFIG, alarm=AlarmSettings(0.95, 0.76, notices_per_day=100.0)))
    many = thresholds(watched)[1]
    assert few is not None
    assert many is not None
    assert many < few
    again = camera(AlarmSettings(0.95, 0.76, notices_per_day=100.0))
    again.learner.recall(watched.learner.to_json())
    assert thresholds(again)[1] == many


def test_without_calibration_there_are_none() -> None:
    assert WatchedCamera(CONFIG, MODEL).learner.notice_in_force() is None
