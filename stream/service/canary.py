"""The canary: a second bundle scores the clips of some cameras after the live one, to compare both before an upgrade.

It computes in a thread of its own, on one core at low priority, and only clips for which there is time: no live clip
waits for it. Nothing of it is published. `mgfn-events canary` prints the comparison.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Final

from engine.arrays import UInt8Array
from engine.engine import Engine
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.foreign_json import foreign_json
from stream.base.log import log
from stream.base.processes import yield_to_others
from stream.settings.bundle import alarm_of
from stream.watch.camera_memory import Kept, learnt_with
from stream.watch.canary_camera import CanaryCamera, LiveClip, chosen, for_bundle
from stream.watch.decoder_process import DecoderProcess
from stream.watch.engine_care import EngineCare
from stream.watch.learnt_score import calibration_of
from stream.watch.metrics import Metrics
from stream.watch.watched_camera import Scored

_IMAGES: Final = 4  # clips that wait with their frames; others are skipped
_MOST: Final = 1_000
_BEHIND: Final = 0.5  # seconds for which a clip waited for the live engine, which then has no time to spare


class Canary:
    """`live_alarm`: the live bundle's own alarm settings. `kept`: the settings of earlier runs."""

    def __init__(
        self,
        engine: Engine,
        share: float,
        live: ModelName,
        live_alarm: AlarmSettings,
        journal: Journal,
        metrics: Metrics,
        clock: Clock,
        kept: Kept,
    ) -> None:
        self._engine, self._care = engine, EngineCare(engine)
        self._share = share
        self._live, self._live_alarm = live, live_alarm
        bundle = engine.bundle
        self._model = ModelName(bundle.name, bundle.sha256, engine.backend.name, str(bundle.path.absolute()))
        self._alarm, self._calibration = alarm_of(bundle), calibration_of(engine.manifest)
        self._journal, self._metrics, self._clock, self._kept = journal, metrics, clock, kept
        self._chosen: frozenset[str] = frozenset()
        self._room = threading.Semaphore(_IMAGES)
        self._line: queue.Queue[tuple[LiveClip, UInt8Array | None] | None] = queue.Queue(_MOST)
        self._cameras: dict[str, CanaryCamera] = {}
        self._failed = self._stopped = False

    # the loop

    def choose(self, cameras: Collection[str]) -> None:
        """The cameras of the site, of this instance or of others."""
        before, self._chosen = self._chosen, chosen(cameras, self._share)
        if self._chosen != before:
            log.info("canary", bundle=self._model.bundle, engine=self._model.backend, cameras=sorted(self._chosen))

    def offer(self, decoder: DecoderProcess, scored: Scored) -> None:
        """The live bundle has scored a clip, whose slot is not given back yet. Returns at once."""
        clip, camera = scored.clip, decoder.camera
        if camera.name not in self._chosen or self._failed:
            return
        image = None
        if time.monotonic() - clip.arrival < _BEHIND and self._room.acquire(blocking=False):
            image = decoder.ring.clips[clip.slot].copy()
        alarm = for_bundle(camera.learner.configured, self._live_alarm, self._alarm)
        config = replace(decoder.config, alarm=alarm)
        live = LiveClip(config, clip, scored.score, scored.window, scored.connects)
        try:
            self._line.put_nowait((live, image))
        except queue.Full:  # it hangs
            self._metrics.canary("skipped")
            if image is not None:
                self._room.release()

    def stop(self) -> None:
        """Make `run` return soon; clips that wait are skipped."""
        self._stopped = True
        while True:
            try:
                self._line.put_nowait(None)
                return
            except queue.Full:  # it hangs
                with suppress(queue.Empty):
                    self._line.get_nowait()

    # its thread

    def run(self) -> None:
        """Body of the thread."""
        yield_to_others()
        while (offered := self._line.get()) is not None:
            live, image = offered
            try:
                if not self._failed:
                    self._score(live, image)
            except Exception as error:  # noqa: BLE001 -- whatever the canary does, live scoring goes on
                self._fail(live, error)
            finally:
                if image is not None:
                    self._room.release()
        self._keep_all()

    def _score(self, live: LiveClip, image: UInt8Array | None) -> None:
        name = live.config.name
        if name not in self._cameras:
            self._cameras[name] = self._begun(live)
        camera = self._cameras[name]
        camera.begin(live)
        if camera.due:
            self._keep(camera)
            camera.begin(live)
        feature = camera.known_feature(live.clip)
        if feature is None and image is not None and not self._stopped:
            (feature,) = self._care.features([image])
        (row,) = [None] if feature is None else self._care.scores([camera.push(live, feature)])
        if row is not None:
            camera.scored(live, row)
        else:
            if feature is not None:
                camera.take_back()
            camera.skip(live)
        if image is not None and row is None and not self._stopped:
            self._care.dropped(time.monotonic())
            self._care.replace_if_bad()
        self._metrics.canary("skipped" if row is None else "scored")

    def _begun(self, live: LiveClip) -> CanaryCamera:
        camera = CanaryCamera(live.config, self._live, self._model, self._calibration, self._clock.wall)
        text = learnt_with(self._kept.get(live.config.name, {}), self._model.sha256)
        if text is not None and camera.learner.learns:
            try:
                camera.learner.recall(foreign_json(text))
            except ValueError as error:
                log.warning("stored calibration cannot be used", camera=live.config.name, reason=str(error))
        return camera

    def _keep(self, camera: CanaryCamera, fault: str = "") -> None:
        """Store what was compared, and what was learned, from which the bundle continues if it becomes the live one."""
        if (span := camera.flush(fault)) is None:
            return
        self._journal.canary(span)
        if (learnt := camera.learner.to_json()) is not None:
            self._journal.setting(span.camera, "canary", f"{self._model.sha256} {json.dumps(learnt)}")

    def _keep_all(self, fault: str = "") -> None:
        for camera in self._cameras.values():
            self._keep(camera, fault)

    def _fail(self, live: LiveClip, error: Exception) -> None:
        self._failed = True
        if self._stopped:  # the engine may be closed already
            return
        fault = f"{type(error).__name__}: {error}"
        log.error("canary stopped; live scoring goes on", bundle=self._model.bundle, reason=fault)
        if live.config.name in self._cameras:
            self._cameras[live.config.name].begin(live)  # so that there is a span to say it
        self._keep_all(fault)
