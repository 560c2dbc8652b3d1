"""One camera in the scoring loop, told as a time line."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.arrays import FloatArray
from stream.alarm.event import EventMessage, ModelName
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Period, Schedule
from stream.base.addresses import Source
from stream.base.errors import Reason
from stream.camera.messages import CameraState, ClipReady, Counters, StateChanged
from stream.settings.settings import CameraConfig
from stream.watch.presence import CORRUPT
from stream.watch.watched_camera import Scored, WatchedCamera

FEATURE = np.zeros((1, 4), np.float32)


CONFIG = CameraConfig(Source("door", "rtsp://door/1", live=True), AlarmSettings(0.8, 0.6, 0.0, merge_gap=0.0))


def make(config: CameraConfig = CONFIG) -> WatchedCamera:
    camera = WatchedCamera(config, ModelName("b", "0" * 64, "openvino"))
    camera.changed(StateChanged(CameraState.ONLINE, 0))
    return camera


def nothing_known(window: FloatArray) -> FloatArray:
    return np.zeros(len(window), np.float32)


def clip(number: int, connection: int = 0) -> ClipReady:
    return ClipReady(connection, number, 100 + number * 0.64, 100.64 + number * 0.64, 0.0, 0)


def score(camera: WatchedCamera, number: int, value: float, connection: int = 0) -> Scored:
    ready = clip(number, connection)
    camera.push(ready, FEATURE)
    return camera.scored(ready, np.full(len(camera.window), value, np.float32), nothing_known)


def ended(camera: WatchedCamera, epoch: float) -> list[EventMessage]:
    return [message for message in camera.due_ends(epoch) if message is not None]


def test_the_line_reaches_back_two_and_a_half_minutes() -> None:
    camera = make()
    for number in range(300):
        score(camera, number, number / 1_000)
    assert camera.line[-1][1] == pytest.approx(0.299)
    assert [at for at, _ in camera.line] == [clip(number).end for number in range(300 - 235, 300)]


def test_warming_until_the_window_is_full() -> None:
    camera = make()
    for number in range(32):
        assert camera.status(0.0) == "warming"
        assert score(camera, number, 0.1).window == number + 1
    assert camera.status(0.0) == "online"


def test_a_new_connection_empties_the_window() -> None:
    camera = make()
    for number in range(5):
        score(camera, number, 0.1)
    assert score(camera, 0, 0.1, connection=1).window == 1


def test_a_replaced_decoder_counts_connections_anew() -> None:
    camera = make()
    score(camera, 0, 0.1)
    camera.restarted()
    assert score(camera, 0, 0.1, connection=0).window == 1


def test_dropped_clips_degrade_for_thirty_seconds() -> None:
    camera = make()
    camera.counted(Counters(25.0, 100, 0, 1, 0), now=10.0)
    assert camera.status(39.0) == "degraded"
    assert camera.status(41.0) == "warming"
    camera.presence.shed(50.0)
    assert camera.status(60.0) == "degraded"


def test_a_camera_whose_frames_cannot_be_decoded_for_ten_seconds_is_degraded() -> None:
    camera = make()
    for second in range(1, 10):
        camera.counted(Counters(25.0, 12 * second, 13 * second, 0, 0), now=float(second))
    assert camera.problem(9.0) == ""
    camera.counted(Counters(25.0, 120, 130, 0, 0), now=10.0)
    assert (camera.status(10.0), camera.problem(10.0)) == ("degraded", CORRUPT)
    camera.counted(Counters(25.0, 145, 131, 0, 0), now=11.0)  # now and then one
    assert camera.status(41.0) == "warming"


def test_a_camera_whose_pictures_give_no_clips_has_a_named_problem() -> None:
    camera = make()
    camera.changed(StateChanged(CameraState.ONLINE, 0))
    camera.counted(Counters(0.1, 13, 0, 0, 0, "nothing is scored"), now=10.0)
    assert (camera.status(11.0), camera.problem(11.0)) == ("degraded", "nothing is scored")
    camera.counted(Counters(0.3, 40, 0, 0, 0), now=90.0)
    assert (camera.status(91.0), camera.problem(91.0)) == ("warming", "")


def test_an_alarm_is_new_then_rises_then_ends() -> None:
    camera = make()
    scores = [0.9, 0.95, 0.95, 0.95, 0.95, 0.955, 0.97, 0.1]
    events = [event for number, value in enumerate(scores) if (event := score(camera, number, value).event)]
    # the rise at once after `new` is told two seconds later; one of half a hundredth never
    assert [(e.type, e.top_score) for e in events] == [("new", 0.9), ("update", 0.95), ("end", 0.97)]
    assert events[1].latency_from == round(100 + 4 * 0.64, 3)
    assert events[2].end_time == round(100 + 7 * 0.64, 3)
    assert events[2].end_reason == "score"


def test_a_clock_that_is_set_back_holds_up_no_update() -> None:
    camera = make()
    score(camera, 5_700, 0.9)
    assert [event.type for number in range(2) if (event := score(camera, number, 0.95).event)] == ["update"]


def test_an_alarm_is_explained_once_by_the_clips_that_raised_its_score() -> None:
    camera, asked = make(), 0

    def contributions(window: FloatArray) -> FloatArray:
        nonlocal asked
        asked += 1
        return np.array([-0.2, 0.1, 0.3], np.float32)

    for number, value in enumerate((0.1, 0.5, 0.9, 0.95, 0.97, 0.99, 0.99, 0.1)):
        ready = clip(number)
        camera.push(ready, FEATURE)
        scored = camera.scored(ready, np.full(len(camera.window), value, np.float32), contributions)
        if number == 2:
            assert scored.explanation is not None
            assert scored.explanation.score == pytest.approx(0.9)
            assert scored.explanation.times.shape == (3, 2)
        else:
            assert scored.explanation is None
        if number >= 2 and scored.event is not None:
            weights = [(round(c.start, 3), round(c.weight, 4)) for c in scored.event.top_clips]
            assert weights == [(101.28, 0.75), (100.64, 0.25)]
    assert scored.event is not None
    assert scored.event.type == "end"
    assert asked == 1


def test_an_alarm_over_the_hourly_cap_is_an_event_that_turns_nothing_on() -> None:
    camera = make(replace(CONFIG, alarm=replace(CONFIG.alarm, cool_down=0.0, hourly_cap=1)))
    told = []
    for number, value in enumerate((0.9, 0.1, 0.9, 0.95, 0.1)):
        event = score(camera, number, value).event
        told.append((event and event.type, event and event.suppressed, camera.alarming))
    assert told == [
        ("new", None, True), ("end", None, False), ("new", "hourly_cap", False), (None, None, False),
        ("end", "hourly_cap", False),
    ]  # fmt: skip
    assert dict(camera.health(0.0))["alarm"] is False


def test_the_kind_is_that_of_the_clip_with_the_top_score() -> None:
    camera, asked, told = make(), 0, []

    def kind(window: FloatArray) -> str:
        nonlocal asked
        asked += 1
        return {2: "unknown", 3: "violence"}.get(len(window), "fall")

    for number, value in enumerate((0.1, 0.85, 0.95, 0.9, 0.9, 0.9, 0.1)):
        ready = clip(number)
        camera.push(ready, FEATURE)
        event = camera.scored(ready, np.full(len(camera.window), value, np.float32), nothing_known, kind).event
        told += [] if event is None else [(event.type, event.kind)]
    assert told == [("new", "unknown"), ("update", "violence"), ("end", "violence")]
    assert asked == 2  # at the beginning, and where the top score rose


def test_a_test_event_begins_and_ends_by_itself() -> None:
    camera = make()
    new = camera.begin_test(1000.0)
    assert new is not None
    assert (new.type, new.test, camera.alarming) == ("new", True, True)
    assert camera.begin_test(1001.0) is None
    assert ended(camera, 1001.0) == []
    (end,) = ended(camera, 1002.0)
    assert (end.id, end.test, end.end_reason, camera.alarming) == (new.id, True, "test", False)


def test_a_camera_away_for_thirty_seconds_is_an_event_until_it_returns() -> None:
    camera = make()
    camera.changed(StateChanged(CameraState.OFFLINE, 0, Reason.STALLED), now=50.0)
    assert camera.begin_loss(79.0, 1079.0) is None
    new = camera.begin_loss(81.0, 1081.0)
    assert new is not None
    assert (new.label, new.start_time, new.top_score) == ("camera_lost", 1050.0, 0.0)
    assert camera.begin_loss(82.0, 1082.0) is None
    assert ended(camera, 1082.0) == []
    assert dict(camera.health(90.0))["stalls_last_hour"] == 1
    camera.changed(StateChanged(CameraState.ONLINE, 1))
    (end,) = ended(camera, 1095.0)
    assert (end.id, end.end_reason, end.end_time) == (new.id, "returned", 1095.0)


def test_a_disabled_camera_is_neither_lost_nor_warm_afterwards() -> None:
    camera = make()
    score(camera, 0, 0.1)
    camera.set_enabled(False, now=10.0)
    assert camera.status(10.0) == "disabled"
    camera.changed(StateChanged(CameraState.OFFLINE, 0, Reason.ENDED), now=20.0)
    assert camera.begin_loss(100.0, 1100.0) is None
    camera.set_enabled(True, now=200.0)
    assert camera.begin_loss(201.0, 1201.0) is None
    assert camera.begin_loss(231.0, 1231.0) is not None
    assert len(camera.window) == 0


def test_off_schedule_it_is_scored_and_does_not_alarm() -> None:
    # clips lie in the first minutes of a Thursday, UTC; Friday's period does not cover them
    friday = 4 * 24 * 60
    camera = make(replace(CONFIG, schedule=Schedule((Period(friday, friday + 24 * 60),), UTC)))
    for number in range(3):
        outcome = score(camera, number, 0.95)
        assert outcome.score == pytest.approx(0.95)
        assert outcome.window == number + 1
        assert (outcome.event, outcome.change, camera.alarming) == (None, None, False)
    assert camera.status(0.0) == "warming"
    assert dict(camera.health(0.0))["scheduled"] is False


def test_an_alarm_that_is_open_when_the_schedule_ends_ends_with_it() -> None:
    camera = make(replace(CONFIG, schedule=Schedule((Period(3 * 24 * 60, 3 * 24 * 60 + 2),), UTC)))
    events = [event for number in range(35) if (event := score(camera, number, 0.9).event)]
    assert [(e.type, e.end_reason) for e in events] == [("new", None), ("end", "schedule")]
    # the first clip off schedule begins at 120.48 s; the alarm ends where the one before it does
    assert events[1].end_time == round(100 + 32 * 0.64, 3)


def test_local_time_is_that_of_the_site() -> None:
    camera = make(replace(CONFIG, schedule=Schedule(zone=ZoneInfo("Asia/Kathmandu"))))
    event = score(camera, 0, 0.9).event
    assert event is not None
    assert event.local_time == "1970-01-01T05:31:40.000+05:30"


def test_other_settings_hold_from_the_next_clip_on_and_the_window_stays() -> None:
    camera = make()
    for number in range(5):
        assert score(camera, number, 0.5).event is None
    camera.configure(replace(CONFIG, alarm=replace(CONFIG.alarm, threshold_on=0.4, threshold_off=0.3)))
    outcome = score(camera, 5, 0.5)
    assert outcome.event is not None
    assert (outcome.event.threshold_on, outcome.window) == (0.4, 6)
    camera.set_threshold(0.8)
    assert camera.alarm.rule.settings.threshold_off == pytest.approx(0.6)


def test_a_lost_camera_ends_its_alarm() -> None:
    camera = make()
    score(camera, 0, 0.9)
    camera.changed(StateChanged(CameraState.OFFLINE, 0, Reason.STALLED))
    end = camera.alarm.close("camera_lost")
    assert end is not None
    assert (end.end_reason, end.end_time) == ("camera_lost", 100.64)
    assert camera.alarm.close("camera_lost") is None
    assert camera.status(0.0) == "offline"


def test_overlapping_clips_fill_the_window_in_the_same_time_and_an_alarm_names_those_that_stand_in_it() -> None:
    camera = make(replace(CONFIG, stride=8))
    windows, explanations = [], []
    for number in range(70):
        ready = ClipReady(0, number, number * 0.32, number * 0.32 + 0.64, 0.0, 0)
        camera.push(ready, FEATURE)
        score = 0.9 if number > 63 else 0.1
        scored = camera.scored(ready, np.full(len(camera.window), score, np.float32), lambda window: window[:, 0, 0])
        windows.append(scored.window)
        explanations += [scored.explanation] if scored.explanation else []
    assert windows[:4] == [1, 1, 2, 2]
    assert windows[-2:] == [32, 32]
    (explanation,) = explanations
    starts = explanation.times[:, 0]
    assert len(starts) == len(explanation.features) == len(explanation.thumbnails) == 32
    np.testing.assert_allclose(np.diff(starts), 0.64)


def test_a_feature_stands_for_clips_that_do_not_differ_from_its_own() -> None:
    camera = make()
    first, second = clip(0), clip(1)
    assert camera.window.known_feature(first) is None
    camera.push(first, FEATURE)
    assert camera.window.known_feature(second) is None
    like_first = replace(second, like=0)
    assert camera.window.known_feature(like_first) is FEATURE
    assert camera.window.known_feature(replace(like_first, connection=1)) is None
    camera.push(second, FEATURE + 1)
    assert camera.window.known_feature(replace(clip(2), like=0)) is None
    # clip 1 was given up unscored, clip 2 is like it: its feature then stands for both
    third = replace(clip(4), like=3)
    camera.push(third, FEATURE + 2)
    assert camera.window.known_feature(replace(clip(5), like=3)) is not None


def test_its_health_can_be_read_while_its_connection_comes_and_goes() -> None:
    camera, stopped = make(), threading.Event()

    def flap() -> None:
        connection = 0
        while not stopped.is_set():
            connection += 1
            camera.changed(StateChanged(CameraState.OFFLINE, connection, Reason.STALLED), 1.0)
            camera.changed(StateChanged(CameraState.ONLINE, connection), 1.0)

    loop, interval = threading.Thread(target=flap), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    loop.start()
    try:
        found = [int(str(dict(camera.health(2.0))["reconnects_last_hour"])) for _ in range(500)]
    finally:
        stopped.set()
        loop.join(10)
        sys.setswitchinterval(interval)
    assert found == sorted(found)
