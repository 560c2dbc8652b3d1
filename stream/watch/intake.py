"""What the decoders say, taken in by the main loop: clips wait to be scored, states change, the dead are replaced."""

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
from stream.watch.scheduling import Shedder

_TURN: Final = 0.2


class Intake:
    """`decoders` is the service's list, `report` gives its reporter, `stopping` says whether a stop was asked for.

    `fault` is why a recording could not be read.
    """

    def __init__(
        self,
        decoders: Sequence[DecoderProcess],
        report: Callable[[], Reporter],
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
        self._shedder = Shedder()

    def receive(self) -> None:
        """Take every message that is there, waiting for one only if no clip is ready; shed what is overdue."""
        ready = any(decoder.pending_clips for decoder in self._decoders)
        running = [decoder for decoder in self._decoders if not decoder.finished]
        for decoder, message in received(running, 0 if ready else _TURN):
            if message is not None:
                self._take(decoder, message)
            elif not (decoder.finished or self._stopping()):
                self._replace(decoder, "its process ended")
        if not self._replay:
            self._shed_overdue()

    def _take(self, decoder: DecoderProcess, message: Message) -> None:
        decoder.gave_sign(now := time.monotonic())
        camera = decoder.camera
        if isinstance(message, ClipReady):
            self._take_clip(decoder, message, now)
        elif isinstance(message, Counters):
            self._metrics.counted(camera.name, camera.counters, message)
            camera.counted(message, now)
        elif isinstance(message, StateChanged):
            self._state_changed(decoder, message)
        else:
            self._report().file_written(decoder, message)
        self._report().status(camera)

    def _take_clip(self, decoder: DecoderProcess, clip: ClipReady, now: float) -> None:
        camera = decoder.camera
        if not camera.enabled:
            decoder.give_back(clip.slot)
            return
        decoder.pending_clips.append(clip)
        if len(decoder.pending_clips) > PENDING_CLIPS and not self._replay:
            self._shed(decoder, now)

    def _shed_overdue(self) -> None:
        """Give up whole clips where the oldest have waited for too long."""
        now = time.monotonic()
        for _ in range(self._shedder.overdue(self._decoders, now)):
            if (decoder := self._shedder.choose(self._decoders)) is not None:
                self._shed(decoder, now)

    def _shed(self, decoder: DecoderProcess, now: float) -> None:
        camera = decoder.camera
        decoder.give_back(decoder.pending_clips.popleft().slot)
        if camera.status(now) != "degraded":
            log.warning("scoring does not keep up: clips are dropped", camera=camera.name)
        camera.shed(now)
        self._metrics.shed(camera.name)

    def _state_changed(self, decoder: DecoderProcess, message: StateChanged) -> None:
        camera = decoder.camera
        camera.changed(message, time.monotonic())
        if message.state is CameraState.ONLINE:
            log.info("camera online", camera=camera.name, source=message.detail)
        elif message.state is CameraState.OFFLINE:
            log.warning(
                "camera offline; trying again", camera=camera.name, reason=message.reason, detail=message.detail
            )
            self._metrics.disconnected(camera.name, message.reason)
            self._report().event(decoder, camera.close_alarm("camera_lost"))
        elif message.state is CameraState.ENDED:
            decoder.finished = True
            decoder.pending_messages.lost()
            if message.reason is None:
                log.info("recording ended", camera=camera.name)
            else:
                log.error("recording not readable", camera=camera.name, reason=message.reason)
                detail = f" ({message.detail})" if message.detail else ""
                if decoder.config.is_self_test:
                    return
                self.fault = UsageError(f"{camera.name}: {message.reason}{detail}")

    def replace_silent(self, decoder: DecoderProcess, now: float) -> None:
        """Replace it if it hangs."""
        if not decoder.finished and (silence := decoder.silent(now)) is not None:
            self._replace(decoder, f"no sign of life for {silence:.0f} s")

    def _replace(self, decoder: DecoderProcess, why: str) -> None:
        """Replace a decoder that hangs or died; the other cameras notice nothing."""
        log.error("decoder replaced", camera=decoder.camera.name, reason=why)
        lost = StateChanged(CameraState.OFFLINE, -1, Reason.DECODER_LOST, why)
        self._state_changed(decoder, lost)
        if not decoder.config.source.live:
            decoder.finished = True
            decoder.pending_messages.lost()
            if decoder.config.is_self_test:
                return
            self.fault = StreamError(f"{decoder.camera.name}: {Reason.DECODER_LOST}: {why}")
            return
        decoder.restart()
