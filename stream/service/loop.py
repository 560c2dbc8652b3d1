"""The main loop: each turn receives messages, scores a batch, and does whatever is due.

It never waits for a camera, disk, broker or process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from engine.errors import EngineError
from stream.alarm.requests import SetMode, SetView
from stream.base.errors import StreamError
from stream.base.log import log
from stream.service.build import Parts
from stream.service.supervisor import Supervisor
from stream.service.threads import Threads
from stream.sinks.embedded_broker import EmbeddedBroker
from stream.watch.scoring import Batch

# With hundreds of cameras a look at each of them costs more than scoring a clip, so this is not done for every clip.
_SCORING: Final = 0.05  # seconds of a turn after which no further batch is begun, if receiving took no longer
_LOOK_EVERY: Final = 0.05
_STATS_EVERY: Final = 60.0
_SCENES_EVERY: Final = 3_600.0


class MainLoop:
    """`run` returns when a stop was requested, or when all recordings have ended."""

    def __init__(
        self,
        parts: Parts,
        threads: Threads,
        broker: EmbeddedBroker | None,
        supervisor: Supervisor,
        stopping: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._threads = threads
        self._broker = broker
        self._supervisor = supervisor
        self._stopping = stopping
        self._next_stats = time.monotonic()
        self._next_scenes = self._next_stats + _SCENES_EVERY
        self._next_look = self._next_stats

    def run(self) -> None:
        """Raises StreamError if the engine fails, or if a thread that alarms need has died."""
        parts = self._parts
        while not self._stopping():
            began = time.monotonic()
            if parts.custody is not None:
                parts.custody.turn()
            parts.intake.receive()
            self._score(max(_SCORING, time.monotonic() - began))
            self._supervise()
            parts.overview.turned()
            self._supervisor.alive()
            watched = [decoder for decoder in parts.decoders if not decoder.config.is_self_test]
            may_end = parts.custody is None and (watched or parts.settings.replay)
            if may_end and all(d.finished and not d.pending_clips for d in watched):
                return  # without cameras, it waits for somebody to add one

    def _score(self, seconds: float) -> None:
        parts, began = self._parts, time.monotonic()
        try:
            if not parts.settings.replay:
                parts.scorer.check(parts.decoders)
            while batch := self._next_batch():
                parts.scorer.score(batch)
                self._scored(batch)
                if time.monotonic() - began > seconds:
                    return
        except EngineError as error:
            raise StreamError(f"the engine failed while scoring: {error}") from error

    def _next_batch(self) -> Batch:
        lines = self._parts.intake.next_batch(self._parts.engine.backend.batch)
        return [(line, line.pending_clips.popleft()) for line in lines]

    def _scored(self, batch: Batch) -> None:
        parts = self._parts
        for decoder, _ in batch:
            parts.intake.apply_states(decoder)
        parts.overview.scored()
        if parts.self_test is not None:
            parts.self_test.camera.seen(batch)

    def _supervise(self) -> None:
        parts = self._parts
        self._reconfigure()
        self._threads.check()
        if not parts.settings.replay:
            self._look_at_clock()
        now, steady = time.monotonic(), parts.clock.now()
        if self._broker is not None and not self._stopping():
            self._broker.look_after(now)
        for command in parts.commands.take() if parts.commands is not None else ():
            if parts.custody is not None and not parts.custody.obeys(command):
                continue
            noted = partial(parts.audit.note, command)
            if isinstance(command, SetMode):
                noted(parts.mode.choose(command.mode))
            elif isinstance(command, SetView):
                noted(parts.mode.draw(command.camera, command.drawing))
            else:
                parts.report.overrides.obey(parts.decoders, command, noted)
        self._switch_mode(now)
        parts.report.overrides.acknowledgements.escalate_due(parts.decoders)
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            self._look_after_cameras(now, steady)
        if parts.self_test is not None:
            parts.self_test.turn(now, steady)
        if parts.drift_watch is not None:
            self._report_drift(parts.drift_watch.turn(now, parts.fleet.names))
        self._now_and_then(now, steady)

    def _look_at_clock(self) -> None:
        if (step := self._parts.clock.look()) is not None:
            log.warning("the wall clock was set; ages are not affected", seconds=round(step, 1))
            self._parts.metrics.clock_set()
            self._parts.journal.clock_set(step)

    def _reconfigure(self) -> None:
        """Apply new cameras, if there are any, and close those that were removed."""
        parts = self._parts
        if parts.changes is not None and (cameras := parts.changes.take()) is not None:
            try:
                parts.mode.replace(parts.changes.modes())
                parts.mode.configure(cameras)
                site = cameras if parts.leases is None else parts.leases.site
                parts.journal.janitor.keep({camera.name: camera.retention for camera in site})
            except StreamError as error:
                log.error("cameras not reconfigured; trying again later", reason=str(error))
                parts.changes.retry()
            if parts.commands is not None:
                parts.commands.watch(parts.names, parts.mode.options)
            if parts.canary is not None:
                parts.canary.choose(parts.names)
        parts.node.cameras(parts.names, None if parts.custody is None else parts.custody.site_fence)
        if parts.leases is not None:
            parts.node.worker(parts.leases.standing)
        parts.fleet.see_off()
        parts.reaper.collect()

    def _switch_mode(self, now: float) -> None:
        try:
            self._parts.mode.turn(now)
        except StreamError as error:
            log.error("mode not changed; trying again", reason=str(error))

    def _look_after_cameras(self, now: float, steady: float) -> None:
        """Replace decoders that hang; begin and end events that are not caused by scores."""
        events, snoozes = self._parts.report.events, self._parts.report.overrides.snoozes
        for decoder in self._parts.decoders:
            camera = decoder.camera
            self._parts.intake.look_after(decoder, now)
            snoozes.end_due(camera)
            if decoder.finished and not decoder.pending_clips:
                decoder.pending_messages.lost()
                events.close_scored(decoder, "stopped")
            if not (decoder.finished or self._parts.settings.replay or camera.silent):
                events.say(decoder, camera.begin_loss(now, steady))
            for message in camera.due_ends(steady):
                events.say(decoder, message)
            events.release(decoder)

    def _report_drift(self, found: dict[str, str]) -> None:
        for camera in (decoder.camera for decoder in self._parts.decoders):
            drift = found.get(camera.name, camera.drift)
            if drift and not camera.drift:
                log.warning("the threshold no longer fits", camera=camera.name, reason=drift)
            camera.drift = drift

    def _now_and_then(self, now: float, steady: float) -> None:
        parts = self._parts
        if parts.custody is not None:
            parts.custody.keep_due(now)
        if now >= self._next_scenes:
            self._next_scenes = now + _SCENES_EVERY
            for decoder in parts.decoders:
                parts.report.memory.keep_scene(decoder.camera)
        if now >= self._next_stats and parts.mqtt is not None:
            self._next_stats = now + _STATS_EVERY
            parts.mqtt.stats(parts.overview.stats())
            if parts.custody is not None:
                parts.custody.empty_old_pictures(time.time())
            if parts.self_test is not None:
                parts.self_test.publish(steady)
