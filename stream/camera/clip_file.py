"""The clip of an alarm as a file: what the camera sent, in an MP4 container."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Final

import av
import av.error
from av import Packet
from av.video.stream import VideoStream

from configs.atomic import partial_path
from stream.camera.clip_check import WrittenClip
from stream.camera.late_file import LateFile
from stream.camera.messages import ClipClosed, StartClip
from stream.camera.packets import StoredPacket

FIRST_PICTURE: Final = "mgfn: first picture at epoch "  # comment in a clip from which its times can be computed again
# the MP4's description: how its frames were made
COPIED: Final = "mgfn: as the camera sent it"
ENCODED_AGAIN: Final = "mgfn: masked and encoded again"


class ClipFile:
    """One MP4 file being written; `template` is the stream of the camera. The first `write` creates the file."""

    description = COPIED

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
        self._stream = self._added(template)

    def _added(self, template: VideoStream) -> VideoStream:
        stream = self._container.add_stream_from_template(template)
        if template.codec_context.name == "hevc":
            stream.codec_tag = "hvc1"  # the name that browsers and Apple's players expect
        if not stream.width:  # it was not known when the camera was opened
            stream.width, stream.height, stream.pix_fmt = template.width, template.height, template.pix_fmt
        return stream

    def _begin(self, first: StoredPacket) -> StoredPacket:
        """Describe the file by the parameter sets in force at its first frame; those of the camera may be outdated."""
        if first.sets:
            self._describe(first.sets)
        self._container.metadata["comment"] = f"{FIRST_PICTURE}{first.time + self.shift:.6f}"
        self._container.metadata["description"] = self.description
        self._first, self._sets = first, first.sets
        return first

    def _describe(self, sets: bytes) -> None:
        self._stream.codec_context.extradata = sets

    def _with_sets(self, packet: StoredPacket) -> bytes:
        """The packet, after the parameter sets if they have changed without being in it."""
        changed = packet.sets != self._sets and not packet.carries_sets
        self._sets = packet.sets
        return packet.sets + packet.data if changed else packet.data

    def _ends_with(self, packet: StoredPacket, first: StoredPacket) -> bool:
        return packet.time >= self.until or packet.time - first.time >= self.order.longest

    def write(self, packet: StoredPacket) -> bool:
        """Add a packet; returns whether the clip is complete."""
        first = self._first or self._begin(packet)
        out = Packet(self._with_sets(packet))
        out.pts, out.dts = packet.pts - first.dts, packet.dts - first.dts
        # the only information about how long the last frame is shown; without it, players omit the last frame of MJPEG
        out.duration = packet.dts - self._last.dts if self._last is not None else 0
        out.time_base, out.is_keyframe, out.stream = self._time_base, packet.keyframe, self._stream
        self._container.mux(out)
        self._last = packet
        self._packets += 1
        return self._ends_with(packet, first)

    def advance(self, until: float) -> bool:  # noqa: ARG002 -- there is nothing to do
        """Work on what was added until that monotonic time. Returns whether nothing is left to do."""
        return True

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
