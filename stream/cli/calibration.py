"""`--calibration`: what cameras start from, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.bundle import Bundle
from stream.alarm.codec import CalibrationError
from stream.base.errors import UsageError
from stream.settings.calibration_file import read_calibration
from stream.settings.settings import CameraConfig
from stream.watch.learnt_score import ScoreLearner, calibration_of


def calibration_for(cameras: Sequence[CameraConfig], path: Path, bundle: Bundle) -> Mapping[str, Any]:
    """The stored state of each camera. Raises UsageError for a file of another bundle, or if a camera is missing."""
    learnt = read_calibration(path, bundle.sha256, [camera.name for camera in cameras])
    for camera in cameras:
        try:
            ScoreLearner(calibration_of(bundle.manifest), camera.alarm).resume(learnt[camera.name])
        except CalibrationError as error:
            raise UsageError(f"--calibration {path}: camera {camera.name}: {error}") from None
    return learnt
