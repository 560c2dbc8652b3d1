"""Images and clips of alarms, in the decoder process: keeps recent packets in compressed form.

Clips are remuxed to MP4, never re-encoded. Times are media seconds of the connection, as in its packets. All of this
runs in the thread of `RecorderThread`, because a disk may hang.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import Final, Self

import av
import av.error
from av import Packet, VideoFrame
from av.video.stream import VideoStream

from configs.atomic import partial_path, replacing
from stream.base.clock import SteadyClock
from stream.base.log import log
from stream.camera.clip_check import ClipCheck, WrittenClip
from stream.camera.late_file import LateFile
from stream.camera.messages import ClipClosed, EndClip, Message, SnapshotTaken, StartClip, TakeSnapshot
from stream.camera.parameter_sets import ParameterSets
from stream.camera.snapshot import snapshot

FIRST_PICTURE: Final = "mgfn: first picture at epoch "  # comment in a clip from which its times can be computed again
RING_BYTES: Final = 64 * 2**20
# An alarm is known later than it begins: minimum duration, length of a clip, waiting for the engine.
RING_SLACK: Final = 10.0
_LONGEST_JUMP: Final = 10.0
# Seconds for decoding saved clips again: with each packet, and when the connection has ended.
_CHECK_AT_ONCE: Final = 0.01
_CHECK_AT_END: Final = 1.0


@dataclass(frozen=True)
class StoredPacket:
    """A compressed frame; `pts`, `dts` in the stream's time base, `time` in seconds."""

    data: bytes
    pts: int
    dts: int
    keyframe: bool
    time: float
    sets: bytes = b""  # the parameter sets in force, in Annex B
    carries_sets: bool = False


class PacketRing:
    """The newest packets, from a keyframe on: at least `span` seconds, unless they exceed `largest` bytes."""

    def __init__(self, span: float, largest: int = RING_BYTES) -> None:
        self._span = span
        self._largest = largest
        self._packets: deque[StoredPacket] = deque()
        self._keyframes: deque[float] = deque()
        self._bytes = 0

    def add(self, packet: StoredPacket) -> None:
        """Add the next packet. Packets before the first keyframe are useless and skipped."""
        if packet.keyframe:
            self._keyframes.append(packet.time)
        elif not self._keyframes:
            return
        self._packets.append(packet)
        self._bytes += len(packet.data)
        while len(self._keyframes) > 1 and (
            self._keyframes[1] <= packet.time - self._span or self._bytes > self._largest
        ):
            self._drop_group()
        if self._bytes > self._largest:  # one group of pictures is larger than the ring: wait for the next keyframe
            self._packets.clear()
            self._keyframes.clear()
            self._bytes = 0

    def _drop_group(self) -> None:
        self._keyframes.popleft()
        self._bytes -= len(self._packets.popleft().data)
        while not self._packets[0].keyframe:
            self._bytes -= len(self._packets.popleft().data)

    def since(self, begin: float) -> list[StoredPacket]:
        """From the last keyframe at or before `begin`, or from the first one."""
        start = max((at for at in self._keyframes if at <= begin), default=None)
        if start is None:
            return list(self._packets)
        packets = list(self._packets)
        first = next(i for i, packet in enumerate(packets) if packet.keyframe and packet.time >= start)
        return packets[first:]


class ClipFile:
    """One MP4 file being written; `template` is the stream of the camera. The first `write` creates the file."""

    def __init__(self, order: StartClip, template: VideoStream, shift: float) -> None:
        self.order = order
        self.shift = shift
        self.until = float("inf")
        self._partial = partial_path(order.path)
        self._time_base = Fraction(template.time_base or Fraction(1, 90_000))
        self._first: StoredPacket | None = None
        self._last: StoredPacket | None = None
        self._sets = b""
        self._packets = 0
        self._file = LateFile(self._partial)
        options = {"movflags": "+faststart"}
        self._container = av.open(self._file, "w", format="mp4", options=options, io_open=self._file.reading)
        self._stream = stream = self._container.add_stream_from_template(template)
        if template.codec_context.name == "hevc":
            stream.codec_tag = "hvc1"  # the name that browsers and Apple's players expect
        if not stream.width:  # it was not known when the camera was opened
            stream.width, stream.height, stream.pix_fmt = template.width, template.height, template.pix_fmt

    def _begin(self, first: StoredPacket) -> StoredPacket:
        """Describe the file by the parameter sets in force at its first frame; those of the camera may be outdated."""
        if first.sets:
            self._stream.codec_context.extradata = first.sets
        self._container.metadata["comment"] = f"{FIRST_PICTURE}{first.time + self.shift:.6f}"
        self._first, self._sets = first, first.sets
        return first

    def write(self, packet: StoredPacket) -> bool:
        """Add a packet; returns whether the clip is complete."""
        first = self._first or self._begin(packet)
        changed = packet.sets != self._sets and not packet.carries_sets
        self._sets = packet.sets
        out = Packet(packet.sets + packet.data if changed else packet.data)
        out.pts, out.dts = packet.pts - first.dts, packet.dts - first.dts
        # the only information about how long the last frame is shown; without it, players omit the last frame of MJPEG
        out.duration = packet.dts - self._last.dts if self._last is not None else 0
        out.time_base, out.is_keyframe, out.stream = self._time_base, packet.keyframe, self._stream
        self._container.mux(out)
        self._last = packet
        self._packets += 1
        return packet.time >= self.until or packet.time - first.time >= self.order.longest

    def finish(self) -> WrittenClip | ClipClosed:
        """Close the file. It is renamed after it has been checked."""
        if self._first is None or self._last is None:
            self.give_up()
            return ClipClosed(self.order.event, 0, 0.0, "no picture")
        self._close()
        seconds = self._last.time - self._first.time
        return WrittenClip(self.order.event, self._partial, self.order.path, self._packets, seconds)

    def _close(self) -> None:
        try:
            self._container.close()
        finally:
            self._file.close()

    def give_up(self) -> None:
        with suppress(av.error.FFmpegError, OSError, ValueError):  # disk full: the incomplete file is deleted next
            self._close()
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)


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
    """Images and clips of one camera. `send` sends messages to the service."""

    def __init__(self, pre_roll: float, send: Callable[[Message], None], clock: SteadyClock) -> None:
        self._clock = clock
        self._span = pre_roll + RING_SLACK
        self._send = send
        self._clips: dict[str, ClipFile] = {}
        self._checks: deque[ClipCheck] = deque()
        self._packets_are: Described | None = None

    def connected(self, packets_are: Described) -> None:
        """A new connection; its packets do not follow the previous ones."""
        self._packets_are = packets_are
        self._ring = PacketRing(self._span)
        self._sets = ParameterSets(packets_are.codec, packets_are.extradata)
        self._last_pts = self._last_dts = -1

    def disconnected(self) -> None:
        """Close open clips, and keep what was written."""
        self._packets_are = None
        # close all files first, because the service may have gone
        for event in list(self._clips):
            self._finish(event)
        self._check(_CHECK_AT_END)
        while self._checks:  # there is no time to check the rest
            self._name(self._checks.popleft())

    def packet(self, packet: Packet[VideoStream]) -> None:
        """The next packet as it came from the camera, before decoding."""
        described = self._packets_are
        if described is None or not packet.size:
            return
        time_base = described.time_base
        # the first packets of a live stream may have no time
        pts = packet.pts if packet.pts is not None else self._last_pts + 1
        if self._last_pts >= 0 and abs(pts - self._last_pts) * time_base > _LONGEST_JUMP:
            self.disconnected()
            self.connected(described)
        dts = max(packet.dts if packet.dts is not None else min(pts, self._last_dts + 1), self._last_dts + 1)
        self._last_pts, self._last_dts = pts, dts
        data = bytes(packet)
        carries = self._sets.see(data)
        sets = self._sets.current
        keyframe = packet.is_keyframe and (bool(sets) or not self._sets.followed)
        stored = StoredPacket(data, max(pts, dts), dts, keyframe, float(pts * time_base), sets, carries)
        self._ring.add(stored)
        for event, clip in list(self._clips.items()):
            self._write(event, clip, stored)
        self._check(_CHECK_AT_ONCE)

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
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._clips.pop(event).give_up()
            self._send(ClipClosed(event, 0, 0.0, reason_of(error)))
            return
        if complete:
            self._finish(event)

    def _finish(self, event: str) -> None:
        """Close a clip; it is reported after it has been checked."""
        clip = self._clips.pop(event)
        try:
            written = clip.finish()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            clip.give_up()
            written = ClipClosed(event, 0, 0.0, reason_of(error))
        if isinstance(written, WrittenClip):
            self._checks.append(ClipCheck(written))
        else:
            self._send(written)

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
                partial.write_bytes(snapshot(frame, order.text, order.focus))
                self._clock.stamp(partial)
        except OSError as error:
            self._send(SnapshotTaken(order.event, 0, reason_of(error)))
            return
        self._send(SnapshotTaken(order.event, order.path.stat().st_size))


def reason_of(error: Exception) -> str:
    """Why a file could not be written."""
    return getattr(error, "strerror", None) or type(error).__name__
