"""The service's view of a decoder process: one for each camera, replaced when it dies or stops responding."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, cast

from engine.manifest import Manifest
from stream.alarm.event import EVENT_ID
from stream.base.clock import SteadyClock
from stream.base.errors import Reason, StreamError
from stream.base.log import log
from stream.base.processes import StartProcess, own_memory
from stream.camera.camera_settings import CameraSettings
from stream.camera.clip_ring import ClipRing
from stream.camera.decoder import STOP, run_camera
from stream.camera.live_picture import Shown
from stream.camera.messages import WIRE, CameraState, ClipClosed, ClipReady, Message, Order, SnapshotTaken, StateChanged
from stream.camera.wire import WireError, bound_waiting
from stream.settings.settings import CameraConfig
from stream.watch.pending_messages import PendingMessages
from stream.watch.reaper import Reaper
from stream.watch.scheduling import Standing
from stream.watch.watched_camera import WatchedCamera

PENDING_CLIPS: Final = 3
MOST_AT_ONCE: Final = 64  # a decoder that never stops sending must not keep the loop from the others
SILENT_AFTER: Final = 20.0
# Sixteen processes that load their libraries at once on two busy cores take longer than SILENT_AFTER.
STARTED_WITHIN: Final = 180.0
_FURTHEST: Final = 86_400.0  # seconds between the times of a live clip and now
# One of an 8K camera, the largest that is accepted, keeps 17 images of 60 MB, and packets of 128 MiB.
MOST_MEMORY: Final = 1_500 * 2**20
_WEIGHED_EVERY: Final = 5.0
FIRST_RETRY, LAST_RETRY = 1.0, 60.0  # seconds between attempts to start a process


def _settings(
    config: CameraConfig, ring: ClipRing, *, geometry: str, clock: SteadyClock, replay: bool, media: Path | None
) -> CameraSettings:
    return CameraSettings(
        config.source,
        geometry,
        ring,
        clock,
        replay=replay,
        transport=config.transport,
        pre_roll=config.clip.pre_roll,
        fps=config.fps,
        stride=config.stride,
        hwaccel=config.hwaccel,
        skip_still=config.skip_still,
        eco=config.eco,
        view=config.view,
        mask_saved=config.mask_saved,
        sub_stream=config.sub_stream,
        media=media,
    )


class DecoderProcess:
    """A camera's decoder process, its ring, its finished clips that are not scored yet, and its camera.

    State changes wait behind the clips that came before them, so that an alarm of these clips never begins after the
    camera was reported lost. Raises StreamError if there are not enough resources; if it `waits`, the camera is offline
    instead, and starting is tried again.
    """

    def __init__(
        self,
        config: CameraConfig,
        camera: WatchedCamera,
        manifest: Manifest,
        replay: bool,
        start_process: StartProcess,
        reaper: Reaper,
        clock: SteadyClock,
        *,
        waits: bool = False,
        media: Path | None = None,
    ) -> None:
        self._clock = clock
        self.config = config
        self.camera = camera
        self.finished = False
        self.scored_until = float("-inf")  # clips that began earlier were scored by another instance
        self.last_sign, self._patience = time.monotonic(), STARTED_WITHIN
        self._next_weighing = self.last_sign
        self._ring: ClipRing | None = None
        self.pending_messages = PendingMessages()
        self.pending_clips: deque[ClipReady] = deque()
        self._clips_taken = 0
        self._pending_states: deque[tuple[int, StateChanged, float]] = deque()  # behind how many clips; when it came
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None
        self._failed_starts = 0
        self._retry_at = float("inf")
        self._manifest = manifest
        self._settings_for = partial(_settings, geometry=manifest.geometry, clock=clock, replay=replay, media=media)
        self._start_process = start_process
        self._reaper = reaper
        try:
            self.start()
        except StreamError as error:
            if not waits:
                self.close()
                raise
            self.start_failed(str(error), self.last_sign)

    @property
    def ring(self) -> ClipRing:
        """The memory of its clips; it exists once its process was started."""
        assert self._ring is not None  # noqa: S101 -- no clip comes before
        return self._ring

    def look(self, until: float, *, still: bool = False) -> Shown | None:
        """Its newest image, if there is one; more follow until that monotonic time (see `LivePicture.watch`). For any
        thread.
        """
        if (ring := self._ring) is None:
            return None
        with suppress(ValueError):  # closed
            ring.live.watch(until, still=still)
        return ring.live.read()

    @property
    def standing(self) -> Standing:
        """Of its oldest pending clip, of which there is one."""
        known = self.camera.window.known_feature(self.pending_clips[0]) is not None
        return Standing(known, self.camera.alarm.nearness)

    def serves(self, config: CameraConfig) -> bool:
        """Whether this process can continue with the camera's new settings."""
        ring = cast(ClipRing, self._ring)  # None before its first start; it is compared with itself
        return self._settings_for(config, ring) == self._settings_for(self.config, ring)

    def start(self) -> None:
        """Start its process. Raises StreamError if there are not enough resources."""
        if self._ring is None:
            self._ring = ClipRing.create(PENDING_CLIPS + 2, self._manifest.crops)
        settings = self._settings_for(self.config, self._ring)
        try:
            self.process, self.pipe = self._start_process(run_camera, (settings,), f"mgfn-{self.camera.name}")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StreamError(f"no process for {self.config.name}: {reason}") from None
        bound_waiting(self.pipe)
        self.last_sign, self._patience = time.monotonic(), STARTED_WITHIN
        self.finished = False
        self._failed_starts, self._retry_at = 0, float("inf")

    def start_failed(self, why: str, now: float) -> None:
        """It could not be started at monotonic time `now`: retry later, with increasing pauses. Until then the camera
        is offline.
        """
        self._retry_at = now + min(LAST_RETRY, FIRST_RETRY * 2.0**self._failed_starts)
        self._failed_starts += 1
        self.defer(StateChanged(CameraState.OFFLINE, -1, Reason.NO_PROCESS, why), now)

    def start_due(self, now: float) -> bool:
        """Whether to try again to start it."""
        return now >= self._retry_at

    def take(self, clip: ClipReady) -> None:
        """The decoder finished a clip."""
        self.pending_clips.append(clip)
        self._clips_taken += 1

    def defer(self, state: StateChanged, now: float) -> None:
        """The camera's state changed after the clips that were taken so far."""
        self._pending_states.append((self._clips_taken, state, now))

    def due_states(self) -> Iterator[tuple[StateChanged, float]]:
        """State changes before which no clip waits any more, and when they came; each once."""
        while self._pending_states and self._pending_states[0][0] <= self._clips_taken - len(self.pending_clips):
            _, state, at = self._pending_states.popleft()
            yield state, at

    def gave_sign(self, now: float) -> None:
        """It sent something at monotonic time `now`."""
        self.last_sign, self._patience = now, SILENT_AFTER

    def silent(self, now: float) -> float | None:
        """For how many seconds it has not responded, by monotonic time `now`; None if it does.

        What it sent while a batch took long is still in the pipe.
        """
        silence = now - self.last_sign
        if self.pipe is None or silence <= self._patience or self.pipe.poll():
            return None
        return silence

    def overgrown(self, now: float) -> int | None:
        """How many bytes it uses, if that is more than any camera needs. Looked up now and then."""
        if self.process is None or now < self._next_weighing:
            return None
        self._next_weighing = now + _WEIGHED_EVERY
        size = own_memory(self.process.pid or 0)
        return size if size > MOST_MEMORY else None

    def give_back(self, slot: int) -> None:
        self._tell(slot)

    def shed_pending(self) -> None:
        """Give back every clip that waits to be scored."""
        while self.pending_clips:
            self.give_back(self.pending_clips.popleft().slot)

    def order(self, order: Order) -> None:
        """Request an image or a clip."""
        self._tell(order)

    def stop(self) -> None:
        """Ask it to end; it closes its clips first."""
        self._tell(STOP)

    def _tell(self, message: int | Order) -> None:
        if self.pipe is not None:
            with suppress(OSError):  # the decoder may be gone; the intake notices
                self.pipe.send(message)

    def read(self, pipe: Connection) -> Message:
        """Its next message. Raises WireError for what is none, and OSError or EOFError if it has gone or is stuck."""
        message = WIRE.received(pipe)
        if isinstance(message, ClipReady):
            _check(message, self.ring.slots, self._clock.now(), live=self.config.source.live)
        if isinstance(message, SnapshotTaken | ClipClosed) and not EVENT_ID.fullmatch(message.event):
            raise WireError(f"event {message.event[:40]!r}")
        return message

    def abandon(self) -> None:
        """Kill the process; what it has not delivered is lost. Returns at once."""
        self.pending_clips.clear()
        self.pending_messages.lost()
        self.end()

    def end(self) -> None:
        """Kill the process; returns at once."""
        if self.process is not None:
            self._reaper.end(self.process)
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None

    def close(self) -> None:
        """Kill the process, and release the memory; returns at once."""
        self.end()
        if self._ring is not None:
            self._ring.close()


def _check(clip: ClipReady, slots: int, steady: float, *, live: bool) -> None:
    """Raises WireError for a slot that does not exist, or for impossible times; a live camera's are close to now."""
    if not (0 <= clip.slot < slots and clip.clip >= 0):
        raise WireError(f"clip {clip.clip} in slot {clip.slot}")
    now, near = time.monotonic(), not live or abs(clip.start - steady) < _FURTHEST
    if not (clip.start <= clip.end and near and now - _FURTHEST < clip.arrival <= now + 1):
        raise WireError(f"clip from {clip.start} to {clip.end}, arrived at {clip.arrival}")


def received(decoders: Sequence[DecoderProcess], timeout: float) -> Iterator[tuple[DecoderProcess, Message | None]]:
    """The available messages, at most MOST_AT_ONCE of each decoder, waiting up to `timeout` seconds for the first; None
    for a process that has ended or must be replaced.
    """
    by_file = {d.pipe.fileno(): (d, d.pipe) for d in decoders if d.pipe is not None}
    if not by_file:
        time.sleep(timeout)
        return
    poller = select.poll()
    for file in by_file:
        poller.register(file, select.POLLIN)
    ready = poller.poll(timeout * 1000)
    for _ in range(MOST_AT_ONCE):
        for file, _event in ready:
            decoder, pipe = by_file[file]
            message = None if pipe.closed else _next_message(decoder, pipe)
            if message is None:
                poller.unregister(file)
            if message is not None or decoder.pipe is pipe:  # else it was replaced meanwhile
                yield decoder, message
        if not ready or not (ready := poller.poll(0)):
            return


def _next_message(decoder: DecoderProcess, pipe: Connection) -> Message | None:
    try:
        return decoder.read(pipe)
    except WireError as error:
        log.error("message of a decoder refused", camera=decoder.camera.name, reason=str(error))
    except (EOFError, OSError):
        pass
    return None


def hear_out(
    decoders: Sequence[DecoderProcess],
    within: float,
    file_written: Callable[[DecoderProcess, SnapshotTaken | ClipClosed], None],
) -> None:
    """Receive what stopping decoders close, for at most so many seconds."""
    deadline = time.monotonic() + within
    running = [decoder for decoder in decoders if not decoder.finished and decoder.pipe is not None]
    while running and (rest := deadline - time.monotonic()) > 0:
        for decoder, message in received(running, rest):
            if isinstance(message, SnapshotTaken | ClipClosed):
                file_written(decoder, message)
            elif message is None:
                running.remove(decoder)
