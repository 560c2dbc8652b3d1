"""The service: startup, main loop, shutdown. Threads, processes and queues are created here and nowhere else.

One decoder process for each camera writes clips into its shared ring; the main loop takes one ready clip of each
camera at most, oldest first, runs them through the engine together, and acts on the scores. It never waits for a
camera. What bounds what:

| queue | bound | when full |
|---|---|---|
| finished clips of a camera | PENDING_CLIPS | the oldest is dropped, counted, status `degraded` |
| a camera's ring | PENDING_CLIPS + 2 | its decoder drops the new clip whole, counted |
| events to the broker | `mqtt.QUEUE_LIMIT` | oldest `update`, else oldest message, counted |
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvicorn

from engine.engine import Engine
from stream.alarms import AlarmSettings
from stream.broker import DEFAULT_PORT, HOST, free_port, run_broker
from stream.camera import STOP, CameraSettings, run_camera
from stream.errors import Reason, StreamError, UsageError
from stream.events import ModelName, Payload
from stream.log import log
from stream.messages import CameraState, ClipReady, Counters, StateChanged
from stream.sinks.mqtt import MqttSink, TlsFiles
from stream.sinks.scores import ScoresFile
from stream.slots import ClipRing
from stream.track import CameraTrack
from stream.urls import BrokerAddress, Source
from stream.web import make_app, make_server

PENDING_CLIPS: Final = 3
LARGEST_BATCH: Final = 8
DECODER_SILENT_AFTER: Final = 20.0
_TURN: Final = 0.2
_SHUTDOWN: Final = 4.0

_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class ServiceSettings:
    """What to watch and where to publish. `broker` None starts the embedded one (not in a replay)."""

    sources: tuple[Source, ...]
    alarm: AlarmSettings
    broker: BrokerAddress | None
    tls: TlsFiles
    topic_prefix: str
    node: str
    replay: bool
    scores: Path | None
    transport: str = "tcp"


class _DecoderHandle:
    """A camera's decoder process, its ring, and the clips that it finished and nobody has scored."""

    def __init__(self, settings: CameraSettings, ring: ClipRing, track: CameraTrack) -> None:
        self.settings = settings
        self.ring = ring
        self.track = track
        self.pending: deque[ClipReady] = deque()
        self.start()

    def start(self) -> None:
        self.pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(
            target=run_camera, args=(self.settings, theirs), name=f"mgfn-{self.track.name}", daemon=True
        )
        self.process.start()
        theirs.close()
        self.last_sign = time.monotonic()
        self.finished = False

    def give_back(self, slot: int) -> None:
        with suppress(OSError):  # the decoder may be gone; the supervisor notices
            self.pipe.send(slot)

    def end(self) -> None:
        """End the process, by force if it does not answer."""
        self.process.join(0.5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


class Service:
    """Watches cameras until stopped, or recordings until their end. `run` is the whole life."""

    def __init__(self, settings: ServiceSettings, engine: Engine, web: tuple[socket.socket, str | None] | None) -> None:
        self._settings = settings
        self._engine = engine
        self._web = web
        self._stopping = False
        self._decoders: list[_DecoderHandle] = []
        self._by_pipe: dict[Connection, _DecoderHandle] = {}
        self._mqtt: MqttSink | None = None
        self._server: uvicorn.Server | None = None
        self._broker_pipe: Connection | None = None
        self._scores = ScoresFile(settings.scores) if settings.scores else None
        self._last_turn = time.monotonic()
        self._fault: StreamError | None = None

    def stop(self) -> None:
        """Ask the main loop to end; safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Startup, main loop, shutdown. Raises UsageError if a recording cannot be read."""
        try:
            self._startup()
            self._main_loop()
        finally:
            self._shutdown()
        if self._fault is not None:
            raise self._fault

    def _startup(self) -> None:
        settings, manifest = self._settings, self._engine.manifest
        broker = settings.broker
        if broker is None and not settings.replay:
            broker = self._start_broker()
        if broker is not None:
            self._mqtt = MqttSink(broker, settings.topic_prefix, settings.node, settings.tls)
            self._mqtt_thread = threading.Thread(target=self._mqtt.deliver, name="mqtt", daemon=True)
            self._mqtt_thread.start()
        if self._web is not None:
            listener, token = self._web
            self._server = make_server(make_app(self._health, token))
            self._server_thread = threading.Thread(target=self._server.run, args=([listener],), name="web", daemon=True)
            self._server_thread.start()
        model = ModelName(self._engine.bundle.name, self._engine.bundle.sha256, self._engine.backend.name)
        for source in settings.sources:
            track = CameraTrack(source.name, settings.alarm, model)
            ring = ClipRing.create(PENDING_CLIPS + 2, manifest.crops)
            camera = CameraSettings(
                source, manifest.geometry, ring.name, replay=settings.replay, transport=settings.transport
            )
            decoder = _DecoderHandle(camera, ring, track)
            self._decoders.append(decoder)
            self._by_pipe[decoder.pipe] = decoder
            self._say_status(track)
            if self._mqtt is not None:
                self._mqtt.camera_anomaly(track.name, active=False)

    def _start_broker(self) -> BrokerAddress:
        port = free_port(DEFAULT_PORT)
        self._broker_pipe, theirs = _spawn.Pipe()
        self._broker = _spawn.Process(target=run_broker, args=(port, theirs), name="mgfn-broker", daemon=True)
        self._broker.start()
        theirs.close()
        try:
            if not self._broker_pipe.poll(20):
                raise EOFError
            self._broker_pipe.recv()
        except EOFError:
            raise StreamError(f"the embedded broker did not start on {HOST}:{port}") from None
        address = BrokerAddress(HOST, port, tls=False)
        log.info("embedded broker", broker=address.shown)
        return address

    def _main_loop(self) -> None:
        while not self._stopping:
            self._receive()
            batch = self._next_batch()
            if batch:
                self._score(batch)
            self._supervise()
            self._last_turn = time.monotonic()
            if all(decoder.finished and not decoder.pending for decoder in self._decoders):
                return

    def _receive(self) -> None:
        """Take every message that is there; wait for one only if no clip is ready."""
        ready = any(decoder.pending for decoder in self._decoders)
        pipes = [decoder.pipe for decoder in self._decoders if not decoder.finished]
        for pipe in wait(pipes, 0 if ready else _TURN):
            decoder = self._by_pipe[pipe]  # type: ignore[index] # only pipes were waited for
            try:
                while decoder.pipe.poll():
                    self._take(decoder, decoder.pipe.recv())
            except (EOFError, OSError):
                if not decoder.finished:
                    self._revive(decoder, "its process ended")

    def _take(self, decoder: _DecoderHandle, message: ClipReady | StateChanged | Counters) -> None:
        decoder.last_sign = now = time.monotonic()
        track = decoder.track
        if isinstance(message, ClipReady):
            decoder.pending.append(message)
            if len(decoder.pending) > PENDING_CLIPS and not self._settings.replay:
                decoder.give_back(decoder.pending.popleft().slot)
                track.shed(now)
                if track.shed_clips == 1:
                    log.warning("scoring does not keep up: clips are dropped", camera=track.name)
        elif isinstance(message, Counters):
            track.counted(message, now)
        else:
            self._state_changed(decoder, message)
        self._say_status(track)

    def _state_changed(self, decoder: _DecoderHandle, message: StateChanged) -> None:
        track = decoder.track
        track.changed(message)
        source = decoder.settings.source
        if message.state is CameraState.ONLINE:
            log.info("camera online", camera=track.name, source=source.shown)
        elif message.state is CameraState.OFFLINE:
            log.warning("camera offline; trying again", camera=track.name, reason=message.reason, detail=message.detail)
            self._publish(track, track.close_alarm("camera_lost"))
        elif message.state is CameraState.ENDED:
            decoder.finished = True
            if message.reason is None:
                log.info("recording ended", camera=track.name)
            else:
                log.error("recording not readable", camera=track.name, reason=message.reason)
                detail = f" ({message.detail})" if message.detail else ""
                self._fault = UsageError(f"{track.name}: {message.reason}{detail}")

    def _next_batch(self) -> list[tuple[_DecoderHandle, ClipReady]]:
        """One clip of each camera that has one, those that wait longest first."""
        waiting = sorted((decoder for decoder in self._decoders if decoder.pending), key=lambda d: d.pending[0].arrival)
        return [(decoder, decoder.pending.popleft()) for decoder in waiting[:LARGEST_BATCH]]

    def _score(self, batch: Sequence[tuple[_DecoderHandle, ClipReady]]) -> None:
        views = [decoder.ring.clips[clip.slot] for decoder, clip in batch]
        clips = views[0][None] if len(views) == 1 else np.stack(views)
        features = self._engine.features(clips)
        for decoder, clip in batch:
            decoder.give_back(clip.slot)
        windows = [decoder.track.push(clip, f) for (decoder, clip), f in zip(batch, features, strict=True)]
        scores = self._engine.scores(windows)
        threshold = self._settings.alarm.threshold_on
        for (decoder, clip), row in zip(batch, scores, strict=True):
            track = decoder.track
            scored = track.scored(clip, float(row[-1]))
            self._publish(track, scored.event)
            if self._mqtt is not None:
                self._mqtt.score(track.name, scored.score, threshold, clip.end, scored.window)
            if self._scores is not None:
                self._scores.write(track.name, clip.clip, clip.start, clip.end, scored.score, threshold, scored.window)
            self._say_status(track)

    def _publish(self, track: CameraTrack, event: Payload | None) -> None:
        if event is None:
            return
        if event["type"] != "update":
            log.info(f"alarm {event['type']}", camera=track.name, id=event["id"], score=event["score"])
        if self._mqtt is not None:
            self._mqtt.camera_anomaly(track.name, active=event["type"] != "end")
            self._mqtt.event(event)

    def _say_status(self, track: CameraTrack) -> None:
        if self._mqtt is not None:
            self._mqtt.camera_status(track.name, track.status(time.monotonic()))

    def _supervise(self) -> None:
        now = time.monotonic()
        for decoder in self._decoders:
            if not decoder.finished and now - decoder.last_sign > DECODER_SILENT_AFTER:
                self._revive(decoder, f"no sign of life for {DECODER_SILENT_AFTER:.0f} s")

    def _revive(self, decoder: _DecoderHandle, why: str) -> None:
        """Replace a decoder that hangs or died; the other cameras notice nothing."""
        log.error("decoder replaced", camera=decoder.track.name, reason=why)
        lost = StateChanged(CameraState.OFFLINE, -1, Reason.DECODER_LOST, why)
        self._state_changed(decoder, lost)
        if not decoder.settings.source.live:
            decoder.finished = True
            self._fault = StreamError(f"{decoder.track.name}: {Reason.DECODER_LOST}: {why}")
            return
        decoder.pending.clear()
        decoder.track.restarted()
        del self._by_pipe[decoder.pipe]
        decoder.process.kill()
        decoder.end()
        decoder.start()
        self._by_pipe[decoder.pipe] = decoder

    def _shutdown(self) -> None:
        deadline = time.monotonic() + _SHUTDOWN
        for decoder in self._decoders:
            decoder.give_back(STOP)
            self._publish(decoder.track, decoder.track.close_alarm("stopped"))
        if self._mqtt is not None:
            self._mqtt.stop()
            self._mqtt_thread.join(max(0.0, deadline - 1.0 - time.monotonic()))
        for decoder in self._decoders:
            decoder.end()
            decoder.ring.close()
        if self._server is not None:
            self._server.should_exit = True
            self._server_thread.join(max(0.0, deadline - time.monotonic()))
        if self._broker_pipe is not None:
            self._broker_pipe.close()
            self._broker.join(max(0.1, deadline - time.monotonic()))
            if self._broker.is_alive():
                self._broker.kill()
                self._broker.join()
        if self._scores is not None:
            self._scores.close()

    def _health(self) -> Mapping[str, Any]:
        """For `/healthz`, from the web server's thread."""
        now = time.monotonic()
        return {
            "loop_age": round(now - self._last_turn, 3),
            "pid": os.getpid(),
            "broker_connected": self._mqtt is not None and self._mqtt.connected,
            "cameras": {d.track.name: dict(d.track.health(now)) for d in self._decoders},
        }
