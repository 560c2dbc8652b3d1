"""Images and clips of alarms, in the decoder process: keeps recent packets in compressed form.

Clips are remuxed to MP4; those of cameras with masks are encoded again. Times are media seconds of the connection, as
in its packets. All of this runs in the thread of `RecorderThread`, because a disk may hang.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import Final, Self

import av.error
from av import Packet, VideoFrame
from av.video.stream import VideoStream

from configs.atomic import replacing
from stream.base.clock import SteadyClock
from stream.base.log import log
from stream.camera.blackout import Blackout
from stream.camera.clip_check import ClipCheck, WrittenClip
from stream.camera.clip_file import ClipFile
from stream.camera.messages import ClipClosed, EndClip, Message, SnapshotTaken, TakeSnapshot
from stream.camera.packets import PacketRing, StoredPacket
from stream.camera.parameter_sets import ParameterSets
from stream.camera.snapshot import snapshot

# An alarm is known later than it begins: minimum duration, length of a clip, waiting for the engine.
RING_SLACK: Final = 10.0
_LONGEST_JUMP: Final = 10.0
# Seconds for masking clips and for decoding saved ones again: between two looks at what waits, and when all ends.
_MASK_AT_ONCE: Final = 0.03
_CHECK_AT_ONCE: Final = 0.01
_MASK_AT_END: Final = 1.0
_CHECK_AT_END: Final = 1.0

_REFUSED: Final = (av.error.FFmpegError, OSError, ValueError)


@dataclass(frozen=True)
class Described:
    """What packets are, as far as the stream of a connection tells; it outlives the connection."""

    codec: str
    extradata: bytes | None
    time_base: Fraction

    @classmethod
    def by(cls, stream: VideoStream) -> Self:
        context = stream.codec_context
        return cls(context.name, context.extradata, Fraction(stream.time_base or Fraction(1, 90_000)))


class Recorder:
    """Images and clips of one camera. `send` sends messages to the service; `blackout` is applied to images."""

    def __init__(
        self, pre_roll: float, send: Callable[[Message], None], clock: SteadyClock, blackout: Blackout
    ) -> None:
        self._clock = clock
        self._blackout = blackout
        self._span = pre_roll + RING_SLACK
        self._send = send
        self._clips: dict[str, ClipFile] = {}
        self._complete: deque[ClipFile] = deque()  # but not all masked yet
        self._checks: deque[ClipCheck] = deque()
        self._packets_are: Described | None = None

    def connected(self, packets_are: Described) -> None:
        """A new connection; its packets do not follow the previous ones."""
        self._packets_are = packets_are
        self._unit = float(packets_are.time_base)  # seconds; fractions are slow
        self._ring = PacketRing(self._span)
        self._sets = ParameterSets(packets_are.codec, packets_are.extradata)
        self._last_pts = self._last_dts = -1

    def disconnected(self) -> None:
        """End open clips; `work` masks what is left of them."""
        self._packets_are = None
        for event in list(self._clips):
            self._complete.append(self._clips.pop(event))
        self._finish_complete(0.0)

    @property
    def busy(self) -> bool:
        """Whether clips wait to be masked or checked."""
        return bool(self._complete or self._checks) or not all(clip.advance(0.0) for clip in self._clips.values())

    def work(self) -> None:
        """Mask and check clips for a moment: called while nothing else waits, so that packets never do."""
        self._advance(monotonic() + _MASK_AT_ONCE)
        self._check(_CHECK_AT_ONCE)

    def settle(self, until: float) -> None:
        """Mask and check all clips, if that is done by that monotonic time."""
        while self.busy and monotonic() < until:
            self.work()

    def close(self) -> None:
        """Close all files, and keep what was written."""
        self.disconnected()
        # close all files first, because the service may have gone
        self._finish_complete(monotonic() + _MASK_AT_END)
        while self._complete:  # there is no time to mask the rest
            self._finish(self._complete.popleft())
        self._check(_CHECK_AT_END)
        while self._checks:  # there is no time to check the rest
            self._name(self._checks.popleft())

    def packet(self, packet: Packet[VideoStream]) -> None:
        """The next packet as it came from the camera, before decoding."""
        described = self._packets_are
        if described is None or not packet.size:
            return
        # the first packets of a live stream may have no time
        pts = packet.pts if packet.pts is not None else self._last_pts + 1
        if self._last_pts >= 0 and abs(pts - self._last_pts) * self._unit > _LONGEST_JUMP:
            self.disconnected()
            self.connected(described)
        dts = max(packet.dts if packet.dts is not None else min(pts, self._last_dts + 1), self._last_dts + 1)
        self._last_pts, self._last_dts = pts, dts
        data = bytes(packet)
        carries = self._sets.see(data)
        sets = self._sets.current
        keyframe = packet.is_keyframe and (bool(sets) or not self._sets.followed)
        stored = StoredPacket(data, max(pts, dts), dts, keyframe, pts * self._unit, sets, carries)
        self._ring.add(stored)
        for event, clip in list(self._clips.items()):
            self._write(event, clip, stored)

    def start(self, clip: ClipFile) -> None:
        """Begin a clip with the recent packets."""
        order = clip.order
        self._clips[order.event] = clip
        for stored in self._ring.since(order.begin - clip.shift):
            if order.event not in self._clips:
                return
            self._write(order.event, clip, stored)

    def end(self, order: EndClip, shift: float) -> None:
        """Let a clip end; `shift` is epoch time minus packet time."""
        if order.event in self._clips:
            self._clips[order.event].until = order.until - shift

    def _write(self, event: str, clip: ClipFile, stored: StoredPacket) -> None:
        try:
            complete = clip.write(stored)
        except _REFUSED as error:
            self._give_up(self._clips.pop(event), error)
            return
        if complete:
            self._complete.append(self._clips.pop(event))
            self._finish_complete(0.0)

    def _advance(self, until: float) -> None:
        """Work on the clips until that monotonic time, the oldest first."""
        self._finish_complete(until)
        for event, clip in list(self._clips.items()):
            try:
                clip.advance(until)
            except _REFUSED as error:
                self._give_up(self._clips.pop(event), error)

    def _finish_complete(self, until: float) -> None:
        while self._complete:
            clip = self._complete[0]
            try:
                if not clip.advance(until):
                    return
            except _REFUSED as error:
                self._give_up(self._complete.popleft(), error)
            else:
                self._finish(self._complete.popleft())

    def _finish(self, clip: ClipFile) -> None:
        """Close a clip; it is reported after it has been checked."""
        try:
            written = clip.finish()
        except _REFUSED as error:
            self._give_up(clip, error)
            return
        if isinstance(written, WrittenClip):
            self._checks.append(ClipCheck(written))
        else:
            self._send(written)

    def _give_up(self, clip: ClipFile, error: Exception) -> None:
        clip.give_up()
        self._send(ClipClosed(clip.order.event, 0, 0.0, reason_of(error)))

    def _check(self, seconds: float) -> None:
        """Continue to decode saved clips for so many seconds."""
        while self._checks:
            began = monotonic()
            if not self._checks[0].advance(seconds):
                return
            self._name(self._checks.popleft())
            seconds = max(0.0, seconds - (monotonic() - began))

    def _name(self, check: ClipCheck) -> None:
        """Rename a clip and report it, or delete it if too little can be decoded."""
        clip = check.clip
        if check.problem:
            log.warning("saved clip is incomplete", id=clip.event, reason=check.problem)
        try:
            if check.worth_keeping:
                self._clock.stamp(clip.partial)
                clip.partial.rename(clip.path)
                return self._send(ClipClosed(clip.event, clip.path.stat().st_size, clip.seconds, check.problem))
            clip.partial.unlink(missing_ok=True)
            return self._send(ClipClosed(clip.event, 0, 0.0, check.problem))
        except OSError as error:
            with suppress(OSError):
                clip.partial.unlink(missing_ok=True)
            return self._send(ClipClosed(clip.event, 0, 0.0, reason_of(error)))

    def take(self, order: TakeSnapshot, frame: VideoFrame) -> None:
        """Write an image."""
        try:
            with replacing(order.path) as partial:
                partial.write_bytes(snapshot(frame, order.text, order.focus, None if order.whole else self._blackout))
                self._clock.stamp(partial)
        except OSError as error:
            self._send(SnapshotTaken(order.event, 0, reason_of(error)))
            return
        self._send(SnapshotTaken(order.event, order.path.stat().st_size))


def reason_of(error: Exception) -> str:
    """Why a file could not be written."""
    return getattr(error, "strerror", None) or type(error).__name__
