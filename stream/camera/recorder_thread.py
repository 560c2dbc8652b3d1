"""Records in a thread of its own: a disk that hangs stops neither the camera nor its alarms."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

import av.error
from av import Packet, VideoFrame
from av.video.stream import VideoStream

from stream.base.clock import SteadyClock
from stream.base.log import log
from stream.camera.blackout import Blackout
from stream.camera.clip_file import ClipFile
from stream.camera.masked_clip import MaskedClip, RotatedError
from stream.camera.messages import ClipClosed, EndClip, Message, SnapshotTaken, StartClip, TakeSnapshot
from stream.camera.packets import RING_BYTES
from stream.camera.recorder import Described, Recorder, reason_of
from stream.camera.view import View

_FRAMES_KEPT: Final = 4
_REST: Final = 0.01  # seconds between two moments of work on clips: other cameras need the processor, too
_CLOSED_WITHIN: Final = 3.0
_SETTLED_WITHIN: Final = 15.0  # less than the service waits for a sign of life
Task = Callable[[], None]


class RecorderThread:
    """Images and clips of one camera. `send` sends messages to the service, from the thread, too.

    No method waits for a disk, except `settle` and `close`. Packets that wait for the disk are bounded
    (RING_BYTES); beyond that, open clips end, and packets are skipped until the disk has caught up.

    hides: the view whose masks are applied to images and clips; None: no masks.
    turned: whether frames were rotated after they were decoded.
    """

    def __init__(
        self, pre_roll: float, send: Callable[[Message], None], clock: SteadyClock, hides: View | None = None
    ) -> None:
        self.turned = False
        self._blackout = Blackout(hides or View())
        self._recorder = Recorder(pre_roll, send, clock, self._blackout)
        self._send = send
        self._frames: deque[tuple[int, int, VideoFrame]] = deque(maxlen=_FRAMES_KEPT)
        self._stream: VideoStream | None = None
        self._tasks: queue.SimpleQueue[tuple[Task, int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0  # bytes of packets
        self._skipping = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def connected(self, stream: VideoStream) -> None:
        """A new connection; its packets do not follow the previous ones."""
        self._stream = stream
        self._put(partial(self._recorder.connected, Described.by(stream)))

    def disconnected(self) -> None:
        """End open clips, and keep what was written."""
        self._stream = None
        self._put(self._recorder.disconnected)

    def packet(self, packet: Packet[VideoStream]) -> None:
        """The next packet as it came from the camera, before decoding."""
        if self._stream is None:
            return
        if self._skipping and self._waiting == 0:
            self._skipping = False
            self._put(partial(self._recorder.connected, Described.by(self._stream)))
        elif not self._skipping and self._waiting + packet.size > RING_BYTES:
            self._skipping = True
            log.error("disk does not respond: nothing is recorded")
            self._put(self._recorder.disconnected)
        if not self._skipping:
            self._put(partial(self._recorder.packet, packet), packet.size)

    def finished_clip(self, connection: int, clip: int, frame: VideoFrame) -> None:
        """A frame of a clip that the service is about to score."""
        self._frames.append((connection, clip, frame))

    def obey(self, order: StartClip | EndClip | TakeSnapshot, shift: float | None) -> None:
        """Carry out an order of the service. `shift` is epoch time minus packet time, None while not connected."""
        if isinstance(order, TakeSnapshot):
            self._take(order)
        elif isinstance(order, EndClip):
            if shift is not None:
                self._put(partial(self._recorder.end, order, shift))
        elif self._stream is None or shift is None or self._skipping:
            why = "the disk does not respond" if self._skipping else "the camera is not connected"
            self._send(ClipClosed(order.event, 0, 0.0, why))
        elif self._blackout.hides and self.turned:
            self._send(ClipClosed(order.event, 0, 0.0, RotatedError.strerror))
        else:
            try:
                self._put(partial(self._recorder.start, self._clip_file(order, self._stream, shift)))
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self._send(ClipClosed(order.event, 0, 0.0, reason_of(error)))

    def _clip_file(self, order: StartClip, stream: VideoStream, shift: float) -> ClipFile:
        if self._blackout.hides:
            return MaskedClip(order, stream, shift, self._blackout)
        return ClipFile(order, stream, shift)

    def _take(self, order: TakeSnapshot) -> None:
        frame = next((f for connection, clip, f in self._frames if (connection, clip) == order.clip), None)
        if frame is None and self._frames and (order.clip is not None or self._stream is not None):
            frame = self._frames[-1][2]
        if self._skipping:
            self._send(SnapshotTaken(order.event, 0, "the disk does not respond"))
        elif frame is None:
            self._send(SnapshotTaken(order.event, 0, "no image yet"))
        else:
            self._put(partial(self._recorder.take, order, frame))

    def settle(self, within: float = _SETTLED_WITHIN) -> None:
        """Wait until everything that was asked for is done: at the end of a recording, nobody waits for the camera."""
        done, until = threading.Event(), time.monotonic() + within
        self._put(lambda: self._recorder.settle(until))
        self._put(done.set)
        done.wait(within)

    def close(self, within: float = _CLOSED_WITHIN) -> None:
        """Carry out what was asked for, close all clips, and end the thread, if that takes no longer."""
        self._tasks.put(None)
        self._thread.join(within)

    def _put(self, task: Task, size: int = 0) -> None:
        with self._lock:
            self._waiting += size
        self._tasks.put((task, size))

    def _run(self) -> None:
        while (item := self._next()) is not None:
            task, size = item
            self._carry_out(task)
            with self._lock:
                self._waiting -= size
        self._carry_out(self._recorder.close)

    def _next(self) -> tuple[Task, int] | None:
        """The next task; a moment of work on clips while none waits."""
        try:
            return self._tasks.get(timeout=_REST if self._recorder.busy else None)
        except queue.Empty:
            return self._recorder.work, 0

    def _carry_out(self, task: Task) -> None:
        try:
            task()
        except OSError:  # the service has gone; this process is about to end
            pass
        except Exception:  # noqa: BLE001 -- a defect: logged in full; the camera is watched all the same
            log.exception("recorder failed")
