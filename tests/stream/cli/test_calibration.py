"""`--calibration`: whose it is, and which cameras it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.bundle import Bundle
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.base.errors import UsageError
from stream.cli.calibration import calibration_for
from stream.settings.calibration_file import write_calibration
from stream.settings.settings import CameraConfig
from stream.watch.learnt_score import ScoreLearner, calibration_of
from tests.bundles import tiny_manifest

ALARM = AlarmSettings(0.95, 0.76)


def cameras(*names: str) -> list[CameraConfig]:
    return [CameraConfig(Source(name, f"rtsp://{name}/1", live=True), ALARM) for name in names]


def state(settings: CalibrationSettings | None) -> Any:
    return ScoreLearner(settings, ALARM).to_json()


def of(sha256: str, calibration: dict[str, Any] | None) -> Bundle:
    """A bundle of which only the manifest is looked at."""
    return Bundle(Path(sha256), tiny_manifest().model_copy(update={"calibration": calibration}), sha256)


@pytest.fixture
def bundle() -> Bundle:
    return of("ab" * 32, {"location": 0.5})


@pytest.fixture
def saved(tmp_path: Path, bundle: Bundle) -> Path:
    path = tmp_path / "saved.json"
    write_calibration(path, bundle.sha256, {"door": state(calibration_of(bundle.manifest))})
    return path


def refused(path: Path, bundle: Bundle, *names: str) -> str:
    with pytest.raises(UsageError) as refusal:
        calibration_for(cameras(*names), path, bundle)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_what_was_saved_is_taken(saved: Path, bundle: Bundle) -> None:
    found: Mapping[str, Any] = calibration_for(cameras("door"), saved, bundle)
    assert list(found) == ["door"]


def test_one_of_another_bundle_is_refused_and_both_are_named(saved: Path, bundle: Bundle) -> None:
    other = of("cd" * 32, {"location": 0.5})
    said = refused(saved, other, "door")
    assert bundle.sha256[:12] in said
    assert other.sha256[:12] in said


def test_one_that_lacks_a_camera_of_this_run_is_refused_and_the_camera_is_named(saved: Path, bundle: Bundle) -> None:
    assert "no camera yard; it contains door" in refused(saved, bundle, "door", "yard")


def test_a_bundle_without_calibration_takes_none(tmp_path: Path) -> None:
    bundle, path = of("ab" * 32, None), tmp_path / "saved.json"
    write_calibration(path, bundle.sha256, {"door": state(CalibrationSettings())})
    assert "camera door: calibration: this bundle does not support calibration" in refused(path, bundle, "door")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no JSON", "is not JSON"),
        ("[1]", "is not a calibration of schema 1"),
        ('{"schema": 2, "cameras": {}}', "is not a calibration of schema 1"),
        (json.dumps({"schema": 1, "bundle": "BUNDLE", "cameras": {"door": {"calibration": 1}}}), "camera door: "),
    ],
)
def test_another_file_is_refused(tmp_path: Path, bundle: Bundle, text: str, says: str) -> None:
    path = tmp_path / "saved.json"
    path.write_text(text.replace("BUNDLE", bundle.sha256))
    assert says in refused(path, bundle, "door")


def test_a_missing_file_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    assert "cannot be read: No such file or directory" in refused(tmp_path / "none.json", bundle, "door")
