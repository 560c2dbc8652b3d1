"""A data folder of the last release, opened by one whose scores are on another scale."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import ModelName
from stream.alarm.requests import AUTO, SetThreshold
from stream.alarm.rule import AlarmSettings
from stream.archive.retention import Retention
from stream.archive.score_epoch import ScoreEpoch, kept_threshold
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.base.addresses import Source
from stream.lookback import history
from stream.settings.settings import CameraConfig
from stream.watch.decoder_process import DecoderProcess
from stream.watch.watched_camera import WatchedCamera
from tests.stream.archive.last_release import BEGAN, BUNDLE, write_last_release
from tests.stream.watch.reporting import journal_of, reporter, settings_for

CONFIG = CameraConfig(Source("door", "rtsp://h/1", live=True), AlarmSettings(0.95, 0.76))
NEW = ModelName("new", "cd" * 32, "openvino")
SAME = ModelName("default", BUNDLE, "openvino")


def camera_of(model: ModelName, config: CameraConfig = CONFIG) -> WatchedCamera:
    return WatchedCamera(config, model, calibration=CalibrationSettings() if model is NEW else None)


def introduced(folder: Path, camera: WatchedCamera, *commands: SetThreshold) -> dict[str, str]:
    """A run on the folder in which the camera begins, and commands are obeyed; returns the settings that it left."""
    decoder = cast(DecoderProcess, SimpleNamespace(camera=camera, config=CONFIG, shed_pending=lambda: None))
    with Store.open(folder) as store:
        journal = journal_of(store, Retention(score_days=100_000, event_days=100_000))
        report = reporter(settings_for(folder), journal, store)
        report.introduce(camera)
        for command in commands:
            report.overrides.obey([decoder], command)
        journal.stop()
        journal.run()
        return store.settings.all()["door"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_last_release(tmp_path)


def test_it_opens_with_its_events_verdicts_scores_and_messages(folder: Path) -> None:
    with Store.open(folder) as store:
        door, yard = store.events.since(0.0)
        assert (door.message.camera, door.message.suppressed, door.verdict) == ("door", None, "false_alarm")
        assert store.events.alarm_times("door", 0.0) == [BEGAN + 600]
        assert yard.message.end_time is None
        assert [waiting.payload.type for waiting in store.events.waiting()] == ["end", "media", "new"]
        assert len(store.scores.columns("door", BEGAN, BEGAN + 720)) == 12 * 93
        answer = history.what_if(store, "door", history.history_of(store, "door", BEGAN, BEGAN + 720), None, None)
    assert (answer.settings.threshold_on, len(answer.alarms), answer.left_out_before) == (0.7, 1, None)


def test_a_threshold_of_the_old_scale_is_named_and_not_applied(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = camera_of(NEW)
    learnt = camera.alarm.rule.settings.threshold_on
    introduced(folder, camera)
    assert camera.alarm.rule.settings.threshold_on == learnt != 0.7
    (said,) = [line for line in "".join(capsys.readouterr()).splitlines() if "stored threshold not applied" in line]
    assert "door" in said  # as text or as JSON: other tests set the format
    assert "0.7" in said
    assert introduced(folder, camera, SetThreshold("door", 0.6))["threshold_scale"] == "calibrated"
    again = camera_of(NEW)
    introduced(folder, again)
    assert again.alarm.rule.settings.threshold_on == 0.6
    raw = camera_of(SAME)  # back to the earlier bundle
    introduced(folder, raw)
    assert raw.alarm.rule.settings.threshold_on == 0.95


def test_the_same_bundle_goes_on_with_its_threshold_and_its_scores(folder: Path) -> None:
    camera = camera_of(SAME)
    epoch = ScoreEpoch.kept(introduced(folder, camera))
    assert epoch == ScoreEpoch(BUNDLE, "raw", 0.0)
    assert camera.alarm.rule.settings.threshold_on == 0.7


def test_the_site_files_threshold_keeps_its_meaning(folder: Path) -> None:
    fixed = CameraConfig(CONFIG.source, CONFIG.alarm.with_threshold(0.7))
    for model in (NEW, SAME):
        camera = camera_of(model, fixed)
        introduced(folder, camera, SetThreshold("door", None))
        assert camera.alarm.rule.settings.threshold_on == 0.7


def test_looking_back_does_not_mix_the_scores_of_two_bundles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = BEGAN + 720
    monkeypatch.setattr("stream.watch.reporter.time.time", lambda: began)
    introduced(folder, camera_of(NEW), SetThreshold("door", AUTO))
    with Store.open(folder) as store:
        rows = [LoggedScore(began + i, began + i + 1, 0.96 if i in (50, 51) else 0.3, 32) for i in range(100)]
        store.scores.add("door", pack(rows))
        found = history.history_of(store, "door", BEGAN, began + 100)
        assert (len(found.scores), found.left_out_before) == (100, began)
        answer = history.what_if(store, "door", found, 0.8, None)
        assert [alarm.start for alarm in answer.alarms] == [began + 50]
        assert answer.as_json()["left_out_before"] == began
        assert history.history_of(store, "door", began, began + 100).left_out_before is None
        assert history.rule_of(store, "door").threshold_on == pytest.approx(
            camera_of(NEW).alarm.rule.settings.threshold_on
        )
        suggestion = history.suggest(store, "door", 1.0, began + 100)
        assert suggestion.left_out_before == began
        assert suggestion.days == pytest.approx(100 / 86_400)
    later = introduced(folder, camera_of(NEW))
    epoch = ScoreEpoch.kept(later)
    assert epoch is not None
    assert (epoch.bundle, epoch.scale, epoch.since) == (NEW.sha256, "calibrated", began)


@pytest.mark.parametrize(
    ("kept", "scale", "threshold"),
    [
        ({"threshold": "0.7"}, "raw", "0.7"),
        ({"threshold": "0.7"}, "calibrated", None),
        ({"threshold": "0.7", "threshold_scale": "calibrated"}, "calibrated", "0.7"),
        ({"threshold": "auto"}, "calibrated", "auto"),
        ({}, "raw", None),
    ],
)
def test_a_threshold_belongs_to_its_scale(kept: dict[str, str], scale: str, threshold: str | None) -> None:
    assert kept_threshold(kept, scale) == threshold  # type: ignore[arg-type]
