"""Verdicts teach a camera: at once, on events of last week, and those given while the program did not run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import Event, ModelName, Moment
from stream.alarm.requests import Command, GiveVerdict, Verdict
from stream.alarm.rule import AlarmSettings
from stream.archive.explanation import Explanation
from stream.archive.store import Store
from stream.base.addresses import Source
from stream.camera.view import View
from stream.service.others import SettingsOfOthers
from stream.settings.settings import CameraConfig
from stream.sinks.command_listener import CommandListener
from stream.watch.decoder_process import DecoderProcess
from stream.watch.watched_camera import WatchedCamera
from tests.stream.alarm.cameras import feature
from tests.stream.cli.test_mgfn_events import run as run_mgfn_events
from tests.stream.watch.reporting import MODEL, journal_of, reporter, settings_for

CONFIG = CameraConfig(Source("door", "rtsp://h/1", live=True), AlarmSettings(0.95, 0.76))
WEEK = 7 * 86_400.0


def window(newest: FloatArray) -> Explanation:
    """Of two clips, the last of which is that of the alarm."""
    return Explanation(
        np.array([[0.0, 0.64], [0.64, 1.28]]), np.stack([feature(1), newest])[:, None], np.ones(2, np.float32), 0.5,
        "b", np.zeros((2, 112, 112, 3), np.uint8), View(),
    )  # fmt: skip


def stored_event(store: Store, *, kept: bool = True, model: ModelName = MODEL) -> str:
    """An alarm of last week that looked like `feature(7)`; its window is on disk if `kept`. Returns its id."""
    event = Event.begun("door", store.clock.now() - WEEK, (0.95, 0.76), model)
    store.events.add(event.new(Moment(0.97, 0.98, 32, event.start_time)), event.start_time, awaits_files=False)
    store.events.add(event.end(None, event.start_time + 4.5, "score"), event.start_time, awaits_files=False)
    if kept:
        journal = journal_of(store)
        journal.files.explained(event.id, window(feature(7)))
        journal.stop()
        journal.run()
    return event.id


def a_run(store: Store, *commands: Command) -> WatchedCamera:
    """A camera that begins on this data folder, and obeys commands until none is left."""
    camera = WatchedCamera(CONFIG, MODEL, calibration=CalibrationSettings())
    decoder = cast(DecoderProcess, SimpleNamespace(camera=camera, config=CONFIG, shed_pending=lambda: None))
    posted = list(commands)
    journal = journal_of(store)
    report = reporter(settings_for(store.media.parent), journal, store, posted.append)
    report.introduce(camera)
    for _ in range(3):
        while posted:
            report.overrides.obey([decoder], posted.pop(0))
        journal.stop()
        journal.run()
    assert not posted
    return camera


def resembled(camera: WatchedCamera, newest: FloatArray) -> str | None:
    return camera.learner.alarm_began("1.00-abcdef", newest[None], time.time())


def test_an_alarm_of_last_week_is_learned_from_its_stored_window(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        event = stored_event(store)
        camera = a_run(store, GiveVerdict("door", event, "false_alarm"))
        assert resembled(camera, feature(7)) == event
        assert resembled(camera, feature(1)) is None
        assert resembled(a_run(store), feature(7)) == event  # kept
        camera = a_run(store, GiveVerdict("door", "latest", None))
        assert resembled(camera, feature(7)) is None
        assert camera.learner.verdicts == {}


def test_a_true_alarm_is_taken_from_the_budgets_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    excused: list[tuple[float, float]] = []
    monkeypatch.setattr(
        "stream.alarm.calibration.Calibration.excuse", lambda _self, time, score: excused.append((time, score))
    )
    with Store.open(tmp_path) as store:
        event = stored_event(store)
        a_run(store, GiveVerdict("door", event, "true"), GiveVerdict("door", event, "true"))
        ((began, score),) = excused
        assert began == pytest.approx(store.clock.now() - WEEK, abs=60)
        assert score == 0.98


@pytest.mark.parametrize("lost", ["window", "bundle"])
def test_without_its_feature_the_verdict_is_kept_alone(tmp_path: Path, lost: str) -> None:
    with Store.open(tmp_path) as store:
        model = ModelName("other", "9" * 64, "openvino") if lost == "bundle" else MODEL
        event = stored_event(store, kept=lost != "window", model=model)
        camera = a_run(store, GiveVerdict("door", event, "false_alarm"))
        assert resembled(camera, feature(7)) is None
        assert store.events.since(0.0)[0].verdict == "false_alarm"


def test_verdicts_given_while_it_did_not_run_are_learned_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(verdict: str) -> WatchedCamera:
        assert run_mgfn_events(monkeypatch, "verdict", event, verdict, "--data", tmp_path) == 0
        with Store.open(tmp_path) as store:
            return a_run(store)

    with Store.open(tmp_path) as store:
        event = stored_event(store)
    assert resembled(said("false_alarm"), feature(7)) == event
    assert said("true").learner.verdicts == {event: "true"}
    assert resembled(said("none"), feature(7)) is None


@pytest.mark.parametrize(("said", "verdict"), [("false_alarm", "false_alarm"), ("none", None)])
def test_a_verdict_of_mgfn_events_reaches_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, verdict: Verdict | None
) -> None:
    camera = WatchedCamera(CONFIG, MODEL)
    decoders = [cast(DecoderProcess, SimpleNamespace(camera=camera))]
    posted: list[Command] = []
    listener = cast(CommandListener, SimpleNamespace(post=posted.append))
    heard: Callable[[str, str, str], None] = SettingsOfOthers(decoders, listener).changed
    with Store.open(tmp_path) as store:
        event = stored_event(store, kept=False)
        journal = journal_of(store, changed=heard)
        assert run_mgfn_events(monkeypatch, "verdict", event, said, "--data", tmp_path) == 0
        journal.stop()
        journal.run()
    assert posted == [GiveVerdict("door", event, verdict)]
