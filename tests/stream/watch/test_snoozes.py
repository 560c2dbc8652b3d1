"""A snoozed camera: what stays silent, what rings through, and how a snooze ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.alarm.requests import SetSnooze
from stream.alarm.rule import AlarmSettings
from stream.archive.store import Store
from stream.base.addresses import Source
from stream.camera.messages import ClipReady
from stream.settings.settings import CameraConfig
from stream.watch.watched_camera import Scored, WatchedCamera
from tests.stream.watch.reporting import MODEL
from tests.stream.watch.test_acknowledgements import Desk

CONFIG = CameraConfig(Source("door", "rtsp://h/1", live=True), AlarmSettings(0.8, 0.6, min_duration=0.0, hourly_cap=2))


class Line:
    """A camera whose clips take one second each."""

    def __init__(self) -> None:
        self.camera = WatchedCamera(CONFIG, MODEL)
        self._clip = 0

    def clip(self, score: float, kind: str = "unknown") -> Scored:
        ready = ClipReady(0, self._clip, float(self._clip), self._clip + 1.0, 0.0, 0)
        self._clip += 1
        self.camera.push(ready, np.zeros((1, 8), np.float32))
        row = np.array([score], np.float32)
        return self.camera.scored(ready, row, lambda window: np.ones(len(window), np.float32), lambda _window: kind)

    def alarm(self, kind: str = "unknown") -> str | None:
        """An alarm begins and ends; returns why it was suppressed. The next one may begin at once."""
        scored = self.clip(0.9, kind)
        assert scored.event is not None
        while self.camera.alarm.event is not None:
            self.clip(0.1)
        for _ in range(12):  # the cool-down
            self.clip(0.1)
        return scored.event.suppressed


def test_alarms_are_silent_until_it_ends_and_do_not_use_up_the_hourly_cap() -> None:
    line = Line()
    line.camera.snooze.until = 60.0
    assert [line.alarm() for _ in range(3)] == ["snooze"] * 3
    assert not line.camera.alarming
    line.camera.snooze.until = None
    assert [line.alarm() for _ in range(3)] == [None, None, "hourly_cap"]


def test_tampering_rings_through() -> None:
    line = Line()
    line.camera.snooze.until = 1_000.0
    assert line.alarm("violence") == "snooze"
    assert line.alarm("tampering") is None


@pytest.mark.parametrize("becomes", ["tampering", "over"])
def test_a_silent_alarm_that_goes_on_rings_once_there_is_a_reason(becomes: str) -> None:
    line = Line()
    line.camera.snooze.until = 3.0 if becomes == "over" else 1_000.0
    silent = line.clip(0.85).event
    assert silent is not None
    assert silent.suppressed == "snooze"
    assert line.clip(0.85).event is None
    assert line.clip(0.85).event is None
    rings = line.clip(0.95, "tampering" if becomes == "tampering" else "violence")
    assert rings.ended is not None
    assert rings.event is not None
    assert (rings.ended.id, rings.ended.type, rings.ended.end_reason) == (silent.id, "end", "snooze")
    assert rings.ended.suppressed == "snooze"
    assert (rings.event.type, rings.event.seq, rings.event.suppressed, rings.event.start_time) == ("new", 0, None, 3.0)
    assert rings.event.id != silent.id
    assert rings.explanation is not None
    assert line.camera.alarming
    assert line.clip(0.96).ended is None


def test_tests_and_lost_cameras_ring_through() -> None:
    line = Line()
    line.camera.snooze.until = 1_000.0
    test, lost = line.camera.begin_test(5.0), line.camera.begin_loss(100.0, 100.0)
    assert test is not None
    assert lost is not None
    assert (test.suppressed, lost.suppressed, lost.label) == (None, None, "camera_lost")


def test_an_alarm_that_rang_before_stays_published() -> None:
    line = Line()
    line.clip(0.9)
    line.camera.snooze.until = 1_000.0
    ended = line.camera.alarm.close("disabled")
    assert ended is not None
    assert ended.suppressed is None


def snoozed_until(store: Store) -> tuple[Desk, float | None]:
    """A run on this data folder, and until when its camera is snoozed."""
    desk = Desk(store)
    desk.report.introduce(desk.camera)
    return desk, desk.camera.snooze.ends_at


def test_it_survives_a_restart_and_ends_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(tmp_path) as store:
        desk, _ = snoozed_until(store)
        desk.report.overrides.obey([desk.decoder], SetSnooze("door", 5))
        asked = desk.camera.snooze.ends_at
        assert asked == pytest.approx(store.clock.wall(store.clock.now()) + 300, abs=5)
        assert dict(desk.camera.health(0.0))["snoozed_until"] == asked
        desk.written()
    with Store.open(tmp_path) as store:
        desk, after = snoozed_until(store)
        assert after == pytest.approx(asked, abs=1)
        assert "still snoozed" in "".join(capsys.readouterr())
        desk.report.overrides.snoozes.end_due(desk.camera)
        assert desk.camera.snooze.until is not None
        desk.camera.snooze.until = store.clock.now()
        desk.report.overrides.snoozes.end_due(desk.camera)
        assert desk.camera.snooze.until is None
        assert "snooze ended: alarms are published again" in "".join(capsys.readouterr())
        desk.written()
    with Store.open(tmp_path) as store:
        assert snoozed_until(store)[1] is None


@pytest.mark.parametrize(("ended_ago", "says"), [(10.0, "did not run"), (-4_000.0, "the wall clock was set back")])
def test_after_a_restart_it_does_not_last_longer_than_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ended_ago: float, says: str
) -> None:
    with Store.open(tmp_path) as store:
        ends_at = store.clock.wall(store.clock.now()) - ended_ago
        store.settings.set("door", "snooze", f"{ends_at} 3600.0")
        assert snoozed_until(store)[1] is None
        assert says in "".join(capsys.readouterr())


def test_it_is_ended_early(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        desk, _ = snoozed_until(store)
        for minutes in (60, 0):
            desk.report.overrides.obey([desk.decoder], SetSnooze("door", minutes))
        desk.written()
        assert desk.camera.snooze.until is None
        assert "snooze" not in store.settings.all()["door"]
