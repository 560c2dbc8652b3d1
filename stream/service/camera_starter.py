"""Starts the decoder of a camera."""

from __future__ import annotations

import time
from pathlib import Path

from engine.engine import Engine
from stream.alarm.event import ModelName
from stream.archive.clock import Clock
from stream.service.processes import start_process
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.watch.decoder_process import DecoderProcess
from stream.watch.learnt_score import calibration_of
from stream.watch.reaper import Reaper
from stream.watch.watched_camera import WatchedCamera


class CameraStarter:
    """Starts a camera's decoder. Raises StreamError if there are not enough resources and it does not wait for them."""

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        model: ModelName,
        reaper: Reaper,
        clock: Clock,
        media: Path,
        *,
        shared: bool,
    ) -> None:
        self._shared = shared
        self._media = None if settings.replay else media
        self._clock = clock
        self._calibrations = settings.calibration or {}
        self._replay = settings.replay
        self._manifest = engine.manifest
        self._calibration = calibration_of(engine.manifest)
        self._model = model
        self._reaper = reaper

    def start(self, config: CameraConfig, waits: bool) -> DecoderProcess:
        camera = WatchedCamera(config, self._model, time.monotonic(), self._calibration, self._clock.wall)
        if config.name in self._calibrations:
            camera.learner.resume(self._calibrations[config.name])
        camera.silent = self._shared  # until a lease says otherwise
        return DecoderProcess(
            config, camera, self._manifest, self._replay, start_process, self._reaper, self._clock.steady,
            waits=(waits or self._shared) and not self._replay, media=self._media,
        )  # fmt: skip
