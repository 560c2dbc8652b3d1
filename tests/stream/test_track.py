"""One camera in the scoring loop, told as a time line."""

from __future__ import annotations

import numpy as np

from stream.alarms import AlarmSettings
from stream.errors import Reason
from stream.events import ModelName
from stream.messages import CameraState, ClipReady, Counters, StateChanged
from stream.track import CameraTrack, Scored

FEATURE = np.zeros((1, 4), np.float32)


def make() -> CameraTrack:
    track = CameraTrack("door", AlarmSettings(0.8, 0.6, 0.0), ModelName("b", "0" * 64, "openvino"))
    track.changed(StateChanged(CameraState.ONLINE, 0))
    return track


def clip(number: int, connection: int = 0) -> ClipReady:
    return ClipReady(connection, number, 100 + number * 0.64, 100.64 + number * 0.64, 0.0, 0)


def score(track: CameraTrack, number: int, value: float, connection: int = 0) -> Scored:
    ready = clip(number, connection)
    track.push(ready, FEATURE)
    return track.scored(ready, value)


def test_warming_until_the_window_is_full() -> None:
    track = make()
    for number in range(32):
        assert track.status(0.0) == "warming"
        assert score(track, number, 0.1).window == number + 1
    assert track.status(0.0) == "online"


def test_a_new_connection_empties_the_window() -> None:
    track = make()
    for number in range(5):
        score(track, number, 0.1)
    assert score(track, 0, 0.1, connection=1).window == 1


def test_a_replaced_decoder_counts_connections_anew() -> None:
    track = make()
    score(track, 0, 0.1)
    track.restarted()
    assert score(track, 0, 0.1, connection=0).window == 1


def test_dropped_clips_degrade_for_thirty_seconds() -> None:
    track = make()
    track.counted(Counters(25.0, 100, 0, 1, 0), now=10.0)
    assert track.status(39.0) == "degraded"
    assert track.status(41.0) == "warming"
    track.shed(50.0)
    assert track.status(60.0) == "degraded"


def test_an_alarm_is_new_then_ends() -> None:
    track = make()
    new = score(track, 0, 0.9).event
    rose = score(track, 1, 0.95).event
    end = score(track, 2, 0.1).event
    assert new is not None
    assert rose is not None
    assert end is not None
    assert [new["type"], rose["type"], end["type"]] == ["new", "update", "end"]
    assert end["end_time"] == round(102 * 1.0 - 0.72, 3)
    assert end["end_reason"] == "score"


def test_a_lost_camera_ends_its_alarm() -> None:
    track = make()
    score(track, 0, 0.9)
    track.changed(StateChanged(CameraState.OFFLINE, 0, Reason.STALLED))
    end = track.close_alarm("camera_lost")
    assert end is not None
    assert (end["end_reason"], end["end_time"]) == ("camera_lost", 100.64)
    assert track.close_alarm("camera_lost") is None
    assert track.status(0.0) == "offline"
