"""The test camera of the self-test in the main loop: it is added, scored beside the others, and removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import tzinfo
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from engine.manifest import Manifest
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.archive.clock import Clock
from stream.base.errors import StreamError
from stream.base.log import log
from stream.base.processes import StartProcess
from stream.camera.messages import ClipReady
from stream.service.self_test import SelfTest, render
from stream.service.staged_footage import STAGED_THRESHOLD
from stream.watch.decoder_process import DecoderProcess
from stream.watch.learnt_score import calibration_of
from stream.watch.reaper import Reaper
from stream.watch.watched_camera import WatchedCamera


class SelfTestCamera:
    """At most one at a time. The bundle's own thresholds apply, because the path is tested and not the site's
    settings.
    """

    def __init__(
        self,
        test: SelfTest,
        manifest: Manifest,
        model: ModelName,
        start_process: StartProcess,
        reaper: Reaper,
        clock: Clock,
        zone: tzinfo | None = None,
        media: Path | None = None,
    ) -> None:
        self._media = media
        self._clock = clock
        self._zone = zone
        self._test = test
        self._manifest = manifest
        self._model = model
        self._start_process = start_process
        self._reaper = reaper
        self._rendering: tuple[BaseProcess, Connection] | None = None
        self._decoder: DecoderProcess | None = None

    def arrives(self, now: float, steady: float) -> DecoderProcess | None:
        """The decoder of a test that begins now."""
        thresholds = self._manifest.thresholds
        if self._decoder is None and self._rendering is None and self._test.due(now, steady):
            try:
                self._rendering = self._start_process(render, (), "mgfn-self-test")
            except OSError as error:  # the cameras continue; the test times out
                log.error("self-test cannot start", reason=error.strerror)
        if self._rendering is None or thresholds is None:
            return None
        process, pipe = self._rendering
        try:
            if not pipe.poll():
                return None
            recording = str(pipe.recv())
        except (EOFError, OSError):
            recording = ""
        self._reaper.end(process)
        pipe.close()
        self._rendering = None
        if not recording:
            return None  # the test times out
        alarm = AlarmSettings(thresholds.on, thresholds.off)
        if thresholds.min_duration is not None:
            alarm = replace(alarm, min_duration=thresholds.min_duration)
        if self._manifest.calibration is not None:  # the path is tested, not a threshold that the camera must learn
            alarm = alarm.with_threshold(STAGED_THRESHOLD)
        config = self._test.camera(recording, alarm, now, self._zone)
        camera = WatchedCamera(config, self._model, now, calibration_of(self._manifest), self._clock.wall)
        try:
            self._decoder = DecoderProcess(
                config, camera, self._manifest, False, self._start_process, self._reaper, self._clock.steady,
                media=self._media,
            )  # fmt: skip
        except StreamError as error:  # not enough resources: the cameras continue, and the test times out
            log.error("self-test cannot start", reason=str(error))
        return self._decoder

    def seen(self, batch: Iterable[tuple[DecoderProcess, ClipReady]]) -> None:
        """These clips were scored."""
        for decoder, clip in batch:
            if decoder is self._decoder:
                self._test.scored(clip.start, clip.clip)
                if decoder.camera.alarm.event is not None:
                    self._test.raised(decoder.camera.alarm.event.id, decoder.camera.alarm.event.start_time)

    def leaves(self, now: float, steady: float) -> DecoderProcess | None:
        """The decoder that must be ended, because the recording has ended or the test timed out."""
        if self._test.overdue(now, steady):
            log.error("self-test failed", reason=self._test.result.said)
            if self._rendering is not None:
                self._reaper.end(self._rendering[0])
                self._rendering[1].close()
                self._rendering = None
            return self._gone()
        over = self._decoder is not None and self._decoder.finished and not self._decoder.pending_clips
        return self._gone() if over else None

    def _gone(self) -> DecoderProcess | None:
        decoder, self._decoder = self._decoder, None
        return decoder

    def heard(self, payload: bytes) -> None:
        """An event that came back from the broker; called from the network thread."""
        if self._test.heard(payload, self._clock.now()):
            log.info("self-test passed")
