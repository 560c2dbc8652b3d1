"""Receives the decoders' messages in the main loop: queues clips, applies state changes, replaces dead decoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from stream.base.errors import Reason, StreamError, UsageError
from stream.base.log import log
from stream.camera.messages import CameraState, ClipReady, Counters, Message, StateChanged
from stream.watch.decoder_process import PENDING_CLIPS, DecoderProcess, received
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter
from stream.watch.scheduling import Scheduler

_TURN: Final = 0.2


class Intake:
    """`decoders` is the service's list; `stopping` says whether a stop was requested.

    `fault` is why a recording could not be read.
    """

    def __init__(
        self,
        decoders: Sequence[DecoderProcess],
        report: Reporter,
        metrics: Metrics,
        stopping: Callable[[], bool],
        *,
        replay: bool,
    ) -> None:
        self.fault: StreamError | None = None
        self._decoders = decoders
        self._report = report
        self._metrics = metrics
        self._stopping = stopping
        self._replay = replay
        self._scheduler = Scheduler()

    def receive(self) -> None:
        """Receive all available messages, waiting for one only if no clip is ready; drop overdue clips."""
        ready = any(decoder.pending_clips for decoder in self._scored())
        running = [decoder for decoder in self._decoders if not decoder.finished]
        for decoder, message in received(running, 0 if ready else _TURN):
            if message is not None:
                self._take(decoder, message)
            elif not (decoder.finished or self._stopping()):
                self._replace(decoder, "its process ended")
        if not self._replay:
            self._shed_overdue()

    def next_batch(self, size: int) -> list[DecoderProcess]:
        """The decoders whose oldest clips are scored together now."""
        return self._scheduler.next_batch(self._scored(), size, time.monotonic())

    def _scored(self) -> list[DecoderProcess]:
        return [decoder for decoder in self._decoders if not decoder.camera.silent]

    def _take(self, decoder: DecoderProcess, message: Message) -> None:
        decoder.gave_sign(now := time.monotonic())
        camera = decoder.camera
        if isinstance(message, ClipReady):
            self._take_clip(decoder, message, now)
        elif isinstance(message, Counters):
            self._metrics.counted(camera.name, camera.presence.counters, message)
            camera.counted(message, now)
        elif isinstance(message, StateChanged):
            if message.state is CameraState.ENDED:
                self._recording_ended(decoder, message)
            decoder.defer(message, now)
            self.apply_states(decoder)
        else:
            self._report.events.file_written(decoder, message)
        self._report.topics.status(camera)

    def _take_clip(self, decoder: DecoderProcess, clip: ClipReady, now: float) -> None:
        if not decoder.camera.presence.enabled or clip.start < decoder.scored_until:
            decoder.give_back(clip.slot)
            return
        decoder.take(clip)
        if decoder.camera.silent:  # the newest clips wait until it is ours
            if len(decoder.pending_clips) > PENDING_CLIPS:
                decoder.give_back(decoder.pending_clips.popleft().slot)
            return
        if len(decoder.pending_clips) > PENDING_CLIPS and not self._replay:
            self._scheduler.dropped(now)
            self._shed(decoder, now)

    def _shed_overdue(self) -> None:
        """Drop whole clips that have waited too long."""
        now = time.monotonic()
        for decoder in self._scheduler.overdue(self._scored(), now):
            self._shed(decoder, now)

    def _shed(self, decoder: DecoderProcess, now: float) -> None:
        camera = decoder.camera
        decoder.give_back(decoder.pending_clips.popleft().slot)
        if camera.status(now) != "degraded":
            log.warning("scoring cannot keep up: dropping clips", camera=camera.name)
        camera.presence.shed(now)
        self._metrics.shed(camera.name)

    def _recording_ended(self, decoder: DecoderProcess, message: StateChanged) -> None:
        """The decoder has nothing more to send; its clips may still wait."""
        name = decoder.camera.name
        decoder.finished = True
        decoder.pending_messages.lost()
        if message.reason is None:
            log.info("recording ended", camera=name)
            return
        log.error("recording not readable", camera=name, reason=message.reason)
        if not decoder.config.is_self_test:
            detail = f" ({message.detail})" if message.detail else ""
            self.fault = UsageError(f"{name}: {message.reason}{detail}")

    def apply_states(self, decoder: DecoderProcess) -> None:
        """State changes, each applied after the clips that came before it."""
        camera = decoder.camera
        for message, at in decoder.due_states():
            camera.changed(message, at)
            if message.state is CameraState.ONLINE:
                log.info("camera online", camera=camera.name, source=message.detail)
            elif message.state is CameraState.OFFLINE:
                reason, detail = message.reason, message.detail
                log.warning("camera offline; trying again", camera=camera.name, reason=reason, detail=detail)
                self._metrics.disconnected(camera.name, reason)
                self._report.events.close_scored(decoder, "camera_lost")
            self._report.topics.status(camera)

    def look_after(self, decoder: DecoderProcess, now: float) -> None:
        """On every turn: apply state changes whose clips are scored, replace it if it hangs, restart it if that
        is due.
        """
        self.apply_states(decoder)
        if decoder.start_due(now):
            self._start(decoder, now)
        elif not decoder.finished and (silence := decoder.silent(now)) is not None:
            self._replace(decoder, f"no response for {silence:.0f} s")
        elif not decoder.finished and (size := decoder.overgrown(now)) is not None:
            self._replace(decoder, f"it uses {size >> 20} MiB of memory")

    def _replace(self, decoder: DecoderProcess, why: str) -> None:
        """Replace a decoder that hangs or has died; the other cameras are not affected."""
        log.error("decoder replaced", camera=decoder.camera.name, reason=why)
        live, now = decoder.config.source.live, time.monotonic()
        if live:
            decoder.abandon()
        else:
            decoder.finished = True
            decoder.pending_messages.lost()
            if not decoder.config.is_self_test:
                self.fault = StreamError(f"{decoder.camera.name}: {Reason.DECODER_LOST}: {why}")
        decoder.defer(StateChanged(CameraState.OFFLINE, -1, Reason.DECODER_LOST, why), now)
        self.apply_states(decoder)
        if live:
            decoder.camera.restarted()
            self._start(decoder, now)

    def _start(self, decoder: DecoderProcess, now: float) -> None:
        """Start its process. Without resources the camera is offline until a later attempt succeeds."""
        try:
            decoder.start()
        except StreamError as error:
            decoder.start_failed(str(error), now)
            self.apply_states(decoder)
