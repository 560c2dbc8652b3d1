"""The decoder process of one camera: connects, writes clips to shared memory, and keeps reconnecting."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from av import Packet
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream

from configs.sizes import CLIP_LENGTH
from stream.base.errors import CameraError, Reason
from stream.base.log import FLUSHED_WITHIN, configure, log, serve, standard_error
from stream.camera.allocation import give_back_memory
from stream.camera.camera_settings import CameraSettings
from stream.camera.capture import Capture
from stream.camera.clip_cropper import ClipCropper
from stream.camera.clip_watch import LONG_CLIP, ClipWatch, spans_long
from stream.camera.clip_writer import ClipWriter
from stream.camera.clips import CameraClock, ClipAssembler
from stream.camera.hwaccel import accelerator
from stream.camera.keyframes import KeyframesOnly
from stream.camera.live_picture import LiveView
from stream.camera.messages import WIRE, CameraState, ClipReady, Counters, Message, Order, StateChanged
from stream.camera.recorder_thread import RecorderThread
from stream.camera.remarks import Remarks
from stream.camera.still_gate import StillGate, first_share

STOP: Final = -1  # sent instead of the number of a free slot
_HEARTBEAT: Final = 1.0
_FIRST_RETRY, _LAST_RETRY = 0.5, 30.0
_RETRY_GROWS: Final = 1.15  # slowly: most cameras that go away are back within seconds
# Seconds without a frame that count as a fault; a camera with one frame in 5 s needs more.
_PATIENCE, _MORE_PATIENCE = 4.0, 15.0
_FEW_PICTURES, _MANY_PICTURES = 3, 100
# Retrying does not help with a wrong password, and many cameras lock an account after a few attempts.
_FIRST_RETRY_UNAUTHORIZED, _LAST_RETRY_UNAUTHORIZED = 30.0, 300.0


class _Stopped(Exception):  # noqa: N818 -- not an error: the service requested it
    """The service wants this process to end."""


_ENDINGS: Final = (_Stopped, EOFError, BrokenPipeError, ConnectionResetError)  # stopped, or the service has gone


def retry_delay(attempt: int, reason: Reason, jitter: float) -> float:
    """Seconds before attempt number `attempt` (from 1): growing, limited, spread by `jitter` in [0, 1]."""
    first, last, grows = (
        (_FIRST_RETRY_UNAUTHORIZED, _LAST_RETRY_UNAUTHORIZED, 2.0)
        if reason is Reason.UNAUTHORIZED
        else (_FIRST_RETRY, _LAST_RETRY, _RETRY_GROWS)
    )
    return min(last, first * grows ** min(attempt - 1, 50)) * (0.75 + 0.5 * jitter)


def _patience(before: float, reason: Reason, pictures: int) -> float:
    """Seconds to wait for a frame on the next connection: longer if one stalled at once, as on a slow camera."""
    if reason is Reason.STALLED and pictures <= _FEW_PICTURES:
        return _MORE_PATIENCE
    return before if pictures <= _MANY_PICTURES else _PATIENCE


def _stop_if_replaced(settings: CameraSettings, before: list[Path]) -> None:
    """Raises _Stopped if a file was readable `before` and is not now; the process that is started next may read it."""
    if lost := set(settings.unreadable()) - set(before):
        log.warning("file replaced; restarting the decoder", file=str(lost.pop()))
        raise _Stopped


def _one_at_a_time(send: Callable[[Message], None]) -> Callable[[Message], None]:
    """The recorder's thread sends, too."""
    lock = threading.Lock()

    def locked(message: Message) -> None:
        with lock:
            send(message)

    return locked


def _opened(settings: CameraSettings, patience: float, hwaccel: HWAccel | None, beat: Callable[[], None]) -> Capture:
    """The sub-stream if there is one and it can be opened, otherwise the main stream."""
    opened = partial(Capture, transport=settings.transport, read_timeout=patience, hwaccel=hwaccel)
    if settings.sub_stream is not None:
        try:
            return opened(settings.sub_stream)
        except CameraError as error:
            if error.reason is Reason.UNAUTHORIZED:  # do not try a wrong password twice
                raise
            what = "sub-stream cannot be opened: trying the main stream"
            log.warning(what, camera=settings.source.name, reason=error.reason, detail=error.detail)
            beat()
    return opened(settings.source)


class Decoder:
    """The decoder of one camera. `pipe` sends messages; it receives numbers of free slots (or STOP) and orders."""

    def __init__(self, settings: CameraSettings, pipe: Connection) -> None:
        self._settings = settings
        self._pipe = pipe
        self._ring = settings.ring
        self._free = list(range(settings.ring.slots))
        self._hwaccel = accelerator(settings.hwaccel, settings.source.name)
        self._send = _one_at_a_time(lambda message: pipe.send_bytes(WIRE.packed(message)))
        self._recorder = RecorderThread(settings.pre_roll, self._send, settings.clock, settings.hides)
        self._cropper = ClipCropper(settings.view, settings.geometry)
        self._live = LiveView(settings.ring.live, settings.view)
        self._unreadable = settings.unreadable()
        self._shift: float | None = None  # steady time less packet time
        self._connection, self._resized = -1, 0
        self._frames = self._corrupt = self._dropped = self._damaged = self._skipped = 0
        self._damaged_at = [False] * CLIP_LENGTH  # by position in the clip
        self._broken = self._late = 0  # of closed connections
        self._assembler: ClipAssembler | None = None  # of the open one
        self._fps = self._next_beat = 0.0
        self._beat_frames, self._stopping = 0, False
        self._clips = ClipWatch()
        self._remarks = Remarks(settings.source.name)
        self._patience = _PATIENCE

    def stop(self) -> None:
        """End at the next frame or heartbeat; safe in a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Watch until stopped or, for a recording, until its end."""
        live = self._settings.source.live
        attempt = 0
        while True:
            self._connection += 1
            self._state(CameraState.CONNECTING)
            try:
                before = self._frames
                self._watch()
                self._beat(now=True)
                self._recorder.settle()  # a service without other cameras ends with the last recording
                return self._state(CameraState.ENDED)
            except CameraError as error:
                fault = CameraError(error.reason, error.detail)  # without its traceback, which keeps the connection
            except _ENDINGS:
                raise
            except Exception as error:  # noqa: BLE001 -- logged in full, and retried like any other fault
                # a bug: its traceback may contain the URL, and only the log redacts it
                log.exception("decoder failed", camera=self._settings.source.name)
                fault = CameraError(Reason.NOT_READABLE, type(error).__name__)
            _stop_if_replaced(self._settings, self._unreadable)
            if not live:
                self._recorder.settle()
                return self._state(CameraState.ENDED, fault)
            self._patience = _patience(self._patience, fault.reason, self._frames - before)
            attempt = 1 if self._frames > before else attempt + 1
            self._state(CameraState.OFFLINE, fault)
            self._rest(retry_delay(attempt, fault.reason, random.random()))  # noqa: S311 -- jitter

    def close(self) -> None:
        self._recorder.close()
        self._ring.close()

    def _watch(self) -> None:
        """One connection, from opening to its end or fault."""
        settings = self._settings
        self._assembler = assembler = ClipAssembler(settings.stride, settings.fps, counted=settings.replay)
        clock, writer = CameraClock(), self._writer()
        try:
            with _opened(settings, self._patience, self._hwaccel, self._beat) as capture:
                size, corrupt, by_arrival = None, 0, False
                began = time.monotonic()
                if not settings.replay:
                    self._recorder.connected(capture.stream)
                for picture in capture.pictures(self._recorder.packet):
                    if not settings.source.live and not settings.replay:
                        self._rest(began + picture.media_time - time.monotonic())
                    arrival = time.monotonic()
                    if capture.size != size:
                        if size is None:
                            self._send(StateChanged(CameraState.ONLINE, self._connection, detail=capture.shown))
                            self._clips.connected(arrival)
                        else:
                            log.warning("image size changed", camera=settings.source.name, size=capture.size)
                            assembler.restart()  # clips follow nothing, as after a new connection
                            writer, capture.keyframes_only.wanted = self._writer(), False
                            self._connection, self._resized = self._connection + 1, self._resized + 1
                        size = capture.size
                    self._recorder.turned = capture.turned
                    self._frames += 1
                    self._live.offer(picture.frame, arrival)
                    self._corrupt += capture.corrupt_frames - corrupt
                    corrupt = capture.corrupt_frames
                    if capture.timeline.by_arrival and not by_arrival:
                        by_arrival, clock = True, CameraClock()
                        assembler.restart()
                    clock.observe(picture.media_time, arrival)
                    steady = settings.clock.now() - time.monotonic()
                    packet_time = picture.media_time + (capture.origin or 0.0)
                    self._shift = clock.arrived(picture.media_time) + steady - packet_time
                    self._clips.picture()
                    self._remarks.on_timeline(capture.timeline)
                    self._receive(0.0)
                    placed = assembler.place(picture.media_time)
                    self._beat()
                    if placed.position is None:
                        continue
                    self._cropper.put(placed.position, picture.frame)
                    self._damaged_at[placed.position] = picture.damaged
                    if placed.finished is None:
                        continue
                    if any(self._damaged_at):
                        self._damaged += 1
                        self._clips.damaged(arrival)
                        continue
                    self._clips.clip(arrival)
                    clip, start, end = placed.finished, placed.finished.start, placed.finished.end
                    if end - start > LONG_CLIP:
                        self._remarks.once(spans_long(end - start))
                    if (slot := self._take_slot()) is None:
                        self._dropped += 1
                        continue
                    like, focus = writer.write(clip, placed.oldest, self._ring.clips[slot])
                    if settings.eco:
                        self._save(capture.keyframes_only, still=like is not None and not self._live.moves(arrival))
                    if not settings.replay:
                        start, end = clock.arrived(start) + steady, clock.arrived(end) + steady
                        self._recorder.finished_clip(self._connection, clip.clip, picture.frame)
                    self._send(ClipReady(self._connection, clip.clip, start, end, arrival, slot, like, focus))
        finally:
            self._shift, self._assembler = None, None
            self._broken, self._late = self._broken + assembler.broken_clips, self._late + assembler.late_frames
            self._clips.disconnected()
            self._recorder.disconnected()

    def _save(self, decoding: KeyframesOnly[Packet[VideoStream]], *, still: bool) -> None:
        decoding.wanted = still
        self._skipped += decoding.skipped
        decoding.skipped = 0
        if problem := decoding.refused or ("" if self._settings.skip_still else "skip_still is off"):
            self._remarks.once(f"eco has no effect on this camera: {problem}")

    def _writer(self) -> ClipWriter:
        """For clips that follow none before."""
        first = first_share(self._settings.source.name) if self._settings.source.live else 1.0
        return ClipWriter(self._cropper, StillGate(enabled=self._settings.skip_still, first=first))

    def _take_slot(self) -> int | None:
        """A free slot. In a replay, waits for one; live, returns None, and the whole clip is dropped."""
        self._receive(0.0)
        while not self._free and self._settings.replay:
            self._receive(_HEARTBEAT)
            self._beat()
        return self._free.pop(0) if self._free else None

    def _receive(self, timeout: float) -> None:
        if self._stopping:
            raise _Stopped
        while self._pipe.poll(timeout):
            told: int | Order = self._pipe.recv()
            if not isinstance(told, int):
                self._recorder.obey(told, self._shift)
            elif told == STOP:
                raise _Stopped
            else:
                self._free.append(told)
            timeout = 0.0

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._receive(min(left, _HEARTBEAT))
            self._beat()

    def _beat(self, *, now: bool = False) -> None:
        if (clock := time.monotonic()) < self._next_beat and not now:
            return
        if self._next_beat:
            self._fps = (self._frames - self._beat_frames) / (clock - self._next_beat + _HEARTBEAT)
        self._beat_frames = self._frames
        self._next_beat = clock + _HEARTBEAT
        self._receive(0.0)
        problem = "" if self._settings.replay else self._clips.problem(clock)
        if problem:
            self._remarks.once(problem)
        connection = max(0, self._connection - self._resized)
        broken, late, assembler = self._broken, self._late, self._assembler
        if assembler is not None:
            broken, late = broken + assembler.broken_clips, late + assembler.late_frames
        self._send(Counters(
            self._fps, self._frames, self._corrupt, self._dropped, connection, problem, broken, late, self._damaged,
            self._skipped,
        ))  # fmt: skip

    def _state(self, state: CameraState, error: CameraError | None = None) -> None:
        reason, detail = (error.reason, error.detail) if error else (None, "")
        self._send(StateChanged(state, self._connection, reason, detail))


def run_camera(settings: CameraSettings, pipe: Connection) -> None:
    """Body of the decoder process. Ends when stopped, when the service has gone, or at the end of a recording."""
    for signum in (signal.SIGINT, signal.SIGHUP):  # these reach the whole process group; the service decides
        signal.signal(signum, signal.SIG_IGN)
    give_back_memory()
    sub_stream = settings.sub_stream
    if settings.hwaccel == "none":  # the drivers of GPUs need more than can be listed here
        settings.confined()
    configure([*settings.source.secrets, *(sub_stream.secrets if sub_stream is not None else ())])
    serve()
    decoder = Decoder(settings, pipe)
    # systemd ends all processes of a service at once; open clips are closed anyway
    signal.signal(signal.SIGTERM, lambda *_: decoder.stop())
    try:
        decoder.run()
    except _ENDINGS:
        pass
    finally:
        decoder.close()
        pipe.close()
        standard_error.flush(FLUSHED_WITHIN)
