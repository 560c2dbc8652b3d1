"""The clip of a camera with masks: decoded and encoded again as H.264, with the masked parts in black."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Final

import av
import av.error
from av import CodecContext, Packet, VideoFrame
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from stream.base.log import log
from stream.camera.blackout import Blackout
from stream.camera.clip_check import WrittenClip
from stream.camera.clip_file import ENCODED_AGAIN, ClipFile
from stream.camera.messages import ClipClosed, StartClip
from stream.camera.packets import RING_BYTES, StoredPacket

# One thread, so that a clip leaves the other cameras their share; no frame waits for a later one.
_ENCODER: Final = {
    "preset": "ultrafast", "crf": "23", "tune": "zerolatency",
    "x264-params": "threads=1:sliced-threads=0:keyint=50:log-level=none",
}  # fmt: skip


class RotatedError(ValueError):
    """The masks belong to the upright frames."""

    strerror: Final = "a rotated recording cannot be masked"


class MaskedClip(ClipFile):
    """Packets wait until `advance` has time for them, at most RING_BYTES of them: then the clip is complete."""

    description = ENCODED_AGAIN

    def __init__(self, order: StartClip, template: VideoStream, shift: float, blackout: Blackout) -> None:
        self._blackout = blackout
        codec = template.codec_context
        decoder = CodecContext.create(codec.name, "r")
        assert isinstance(decoder, VideoCodecContext)  # noqa: S101 -- a camera's stream
        self._decoder: VideoCodecContext = decoder
        self._decoder.extradata = codec.extradata
        self._decoder.thread_count = 1
        self._waiting: deque[StoredPacket] = deque()
        self._bytes = 0
        self._last_pts = -1
        super().__init__(order, template, shift)

    def _added(self, template: VideoStream) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=round(template.average_rate or 25), options=_ENCODER)
        assert isinstance(stream, VideoStream)  # noqa: S101 -- an encoder of video
        stream.codec_context.time_base = self._time_base
        stream.pix_fmt = "yuv420p"
        return stream

    def _describe(self, sets: bytes) -> None:
        self._decoder.extradata = sets

    def write(self, packet: StoredPacket) -> bool:
        first = self._first or self._begin(packet)
        self._waiting.append(packet)
        self._bytes += len(packet.data)
        return self._ends_with(packet, first) or self._bytes > RING_BYTES

    def advance(self, until: float) -> bool:
        while self._waiting and monotonic() < until:
            packet = self._waiting.popleft()
            self._bytes -= len(packet.data)
            self._convert(packet)
        return not self._waiting

    def _convert(self, packet: StoredPacket) -> None:
        compressed = Packet(self._with_sets(packet))
        compressed.pts, compressed.dts, compressed.time_base = packet.pts, packet.dts, self._time_base
        try:
            frames = self._decoder.decode(compressed)
        except av.error.InvalidDataError:  # damaged on its way
            return
        for frame in frames:
            self._encode(frame)

    def _encode(self, frame: VideoFrame) -> None:
        assert self._first is not None  # noqa: S101 -- nothing is converted before
        pts = (frame.pts or 0) - self._first.pts
        if pts <= self._last_pts:  # frames that lead the first keyframe
            return
        if frame.rotation:
            raise RotatedError
        stream = self._stream
        if self._packets == 0:
            stream.width, stream.height = max(2, frame.width & ~1), max(2, frame.height & ~1)
        masked = self._blackout.frame(frame, stream.width, stream.height)
        masked.pts, masked.time_base = pts, self._time_base
        self._container.mux(stream.encode(masked))
        self._last_pts = pts
        self._packets += 1

    def finish(self) -> WrittenClip | ClipClosed:
        if self._waiting:
            log.warning("end of a clip is missing: no time to mask it", id=self.order.event, frames=len(self._waiting))
        elif self._first is not None:
            for frame in self._decoder.decode(None):
                self._encode(frame)
        if self._packets == 0:
            self.give_up()
            return ClipClosed(self.order.event, 0, 0.0, "no picture")
        self._container.mux(self._stream.encode(None))
        self._close()
        seconds = float(self._last_pts * self._time_base)
        return WrittenClip(self.order.event, self._partial, self.order.path, self._packets, seconds)
