"""One connection to a camera, or one recording: opens, reads and closes. Returns or raises, but never retries."""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from types import TracebackType
from typing import Final, Self

import av
import av.error
from av import Packet, VideoFrame
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from stream.base.addresses import Source
from stream.base.errors import CameraError, Reason
from stream.base.redaction import redact_text
from stream.camera.allocation import bound_blocks
from stream.camera.clips import FASTEST_RATE
from stream.camera.keyframes import KeyframesOnly
from stream.camera.parameter_sets import begins_anew, may_hold_image
from stream.camera.timeline import RecordedTimeline, Timeline
from stream.camera.upright import Upright

LARGEST_SIDE: Final = 16384
LARGEST_PIXELS: Final = 40_000_000  # 8K has 35 million; a decoder keeps up to 16 images
_RATE_OVER: Final = 10.0  # seconds; a camera may send the images of a few seconds at once when it is opened
# Maximum number of undecodable packets in a row: ten seconds at 25 fps, the longest common wait for a keyframe.
MOST_DAMAGED: Final = 250
# Damage stays visible until the next keyframe; cameras that send none refresh the image within this many seconds.
_DAMAGE_LASTS: Final = 10.0
_LEAST_STEP: Final = 0.001  # step to a frame whose time is not known
# what a playlist, a manifest or a session description names must not be opened
_LIVE_FORMATS: Final = "rtsp,mpegts,asf"
_FILE_FORMATS: Final = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,obu,ivf,m4v,flv,asf,ogg,mxf,dv,nut,rm,wtv,mjpeg,gif,"
    "yuv4mpegpipe,wav,mp3,aac,flac"
)
_LIVE_PROTOCOLS: Final = "rtsp,rtsps,rtp,rtcp,tcp,udp,tls,crypto"


@dataclass(frozen=True)
class Picture:
    """A decoded, upright frame. `media_time`: seconds since the first frame of the connection.

    damaged: it may show what is not there, because a frame that it builds on is missing or could not be decoded.
    """

    frame: VideoFrame
    media_time: float
    damaged: bool = False


def _options(source: Source, transport: str) -> dict[str, str]:
    """FFmpeg's options: what it may follow, how large an image may be, and how a camera is verified."""
    options = {"max_pixels": str(LARGEST_PIXELS)}
    if not source.live:
        return options | {"protocol_whitelist": "file", "format_whitelist": _FILE_FORMATS}
    options |= {
        "rtsp_transport": transport,
        "allowed_media_types": "video",  # while audio arrives, FFmpeg would not notice that the video has stopped
        "protocol_whitelist": _LIVE_PROTOCOLS,
        "format_whitelist": _LIVE_FORMATS,
        "analyzeduration": "500000",
        "probesize": "200000",
    }
    if source.tls is None:
        return options
    files = {"ca_file": source.tls.ca, "cert_file": source.tls.cert, "key_file": source.tls.key}
    return options | {"tls_verify": "1"} | {name: str(path) for name, path in files.items() if path is not None}


class Flood:
    """Refuses a camera that sends far more images than any sends."""

    def __init__(self, now: float) -> None:
        self._packets, self._since = 0, now

    def packet(self, now: float) -> None:
        """One more at monotonic time `now`. Raises CameraError."""
        self._packets += 1
        if now - self._since >= _RATE_OVER:
            self._packets, self._since = 0, now
        elif self._packets > 2 * FASTEST_RATE * _RATE_OVER:
            raise CameraError(Reason.BAD_RATE, f"more than {2 * FASTEST_RATE:.0f} packets per second")


class Capture:
    """Context manager for one open source.

    Live sources: RTSP over `transport` ("tcp" or "udp"), a short probe, timeouts for opening and reading; only the
    protocols that RTSP needs are followed. Recordings: local files only. One decoder thread is used, so that no frame
    waits for later ones. `hwaccel` selects hardware decoding. `origin` is the time of the first frame (media time 0) on
    the stream's own clock, in seconds.
    """

    def __init__(
        self,
        source: Source,
        transport: str = "tcp",
        open_timeout: float = 5.0,
        read_timeout: float = 4.0,
        hwaccel: HWAccel | None = None,
    ) -> None:
        self._source = source
        self._read_timeout = read_timeout
        bound_blocks()
        self.corrupt_frames = 0
        self._flood = Flood(monotonic())
        self.size: tuple[int, int] | None = None
        self._damaged_in_a_row = 0
        self._damaged_until = float("-inf")  # monotonic time, of a live camera
        self._upright = Upright()
        self.origin: float | None = None
        self._last = 0.0
        self._newest: VideoFrame | None = None
        self.timeline = Timeline()  # for live sources
        self.keyframes_only: KeyframesOnly[Packet[VideoStream]] = KeyframesOnly()  # for live sources
        self._container = _opened(source, transport, (open_timeout, read_timeout), hwaccel)
        try:
            self.stream = self._video_stream()
        except CameraError:
            self._container.close()
            raise
        self._unit = float(self.stream.time_base or Fraction(1, 90_000))  # seconds; fractions are slow
        rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        # AVI stores no display times
        ordered = "avi" not in self._container.format.name.split(",")
        self._recorded = RecordedTimeline(float(1 / rate), ordered=ordered)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()
        gc.collect()  # an image whose side data were read refers to itself, and keeps all of its decoder's images

    def _video_stream(self) -> VideoStream:
        """The first video stream that can be decoded and is not a cover image."""
        videos = [each for each in self._container.streams.video if not each.disposition & Disposition.attached_pic]
        if not videos:
            kinds = ", ".join(sorted({stream.type for stream in self._container.streams})) or "nothing"
            raise CameraError(Reason.NO_VIDEO, f"{self._source.shown} holds {kinds}")
        stream = next((each for each in videos if each.codec_context is not None), None)
        if stream is None:
            raise CameraError(Reason.NOT_READABLE, f"{self._source.shown}: unknown codec")
        stream.thread_count = 1
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(LARGEST_PIXELS)}
        if stream.width or stream.height:
            _check_size(stream.width, stream.height)
        rate = stream.average_rate
        # the nominal rate of a live stream is a guess from its headers; there the media times decide
        if not self._source.live and rate is not None and rate > FASTEST_RATE:
            raise CameraError(
                Reason.BAD_RATE, f"{float(rate):.0f} frames per second; must be at most {FASTEST_RATE:.0f}"
            )
        return stream

    @property
    def turned(self) -> bool:
        """Whether the last frame was rotated to be upright."""
        return self._upright.turns

    @property
    def shown(self) -> str:
        """The opened source, for display."""
        return self._source.shown

    @property
    def expected_frames(self) -> float | None:
        """The number of frames according to the headers of a recording, or None. Not reliable."""
        stream, rate = self.stream, self.stream.average_rate
        if stream.frames:
            return float(stream.frames)
        if rate is None:
            return None
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base * rate)
        return None if self._container.duration is None else self._container.duration / av.time_base * float(rate)

    def pictures(self, on_packet: Callable[[Packet[VideoStream]], None] = lambda _packet: None) -> Iterator[Picture]:
        """Frames in order, until the end of a recording.

        Frames flagged as corrupt and packets that cannot be decoded are counted and skipped.

        `on_packet` is called with each packet before it is decoded. Raises CameraError on any fault, and at the end of
        a live stream.
        """
        try:
            asked = monotonic()
            for packet in self._container.demux(self.stream):
                if self._source.live:
                    # after a timeout FFmpeg first returns the packet that it has held back
                    if monotonic() - asked >= self._read_timeout:
                        raise CameraError(Reason.STALLED, "no response in time")
                    self._correct(packet)
                on_packet(packet)
                if self._source.live:
                    self._flood.packet(monotonic())
                yield from self._pictures_of(packet)
                asked = monotonic()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _translated(error, self._source) from None
        if self._source.live:
            raise CameraError(Reason.ENDED, "the camera closed the stream")
        if self.origin is None:
            raise CameraError(Reason.NOT_READABLE, f"{self._source.shown} contains no frame")

    def _pictures_of(self, packet: Packet[VideoStream]) -> Iterator[Picture]:
        if self._newest is not None and self._holds(packet):
            self._advance(None if packet.pts is None else packet.pts * self._unit)
            yield self._shown_now(self._newest)  # it is not known that anything has changed
            return
        for held in self.keyframes_only.release():
            if any(frame.is_corrupt for frame in self._decoded(held)):
                self._corrupt()
        for frame in self._decoded(packet):
            yield from self._picture(frame)

    def _holds(self, packet: Packet[VideoStream]) -> bool:
        if not self._source.live or not packet.size:
            return False
        context = self.stream.codec_context
        anew = packet.is_keyframe and begins_anew(context.name, bytes(packet))
        return self.keyframes_only.holds(packet, keyframe=anew, reordered=context.has_b_frames > 0)

    def _correct(self, packet: Packet[VideoStream]) -> None:
        """Replace the time of the packet by that of the timeline, for everything that follows."""
        if not packet.size:
            return
        stamp = packet.pts
        self.timeline.reordered = self.stream.codec_context.has_b_frames > 0
        time = self.timeline.place(None if stamp is None else stamp * self._unit, monotonic())
        pts = round(time / self._unit)
        if packet.dts is None or stamp is None or packet.dts == stamp:
            packet.dts = pts
        else:
            packet.dts += pts - stamp
        packet.pts = pts

    def _decoded(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            # a damaged packet, one without a frame, or one before the first keyframe; the next ones may be good
            if may_hold_image(self.stream.codec_context.name, bytes(packet)):
                self._corrupt()
            self._damaged_in_a_row += 1
            if self._damaged_in_a_row >= MOST_DAMAGED:
                raise
            return []
        self._damaged_in_a_row = 0
        return frames

    def _corrupt(self) -> None:
        self.corrupt_frames += 1
        if self._source.live:
            self._damaged_until = monotonic() + _DAMAGE_LASTS

    def _picture(self, frame: VideoFrame) -> Iterator[Picture]:
        if self._source.live:
            self._advance(frame.time)
        else:
            self._last = self._recorded.place(frame.time)
        if self.origin is None:
            self.origin = self._last
        if frame.is_corrupt:
            return self._corrupt()
        if frame.key_frame:
            self._damaged_until = float("-inf")
        _check_size(frame.width, frame.height)
        self._newest = frame = self._upright.turned(frame)
        self.size = (frame.width, frame.height)
        yield self._shown_now(frame)

    def _advance(self, time: float | None) -> None:
        """To the next frame of a live source."""
        if time is not None and (self.origin is None or time > self._last):
            self._last = time
        else:  # a packet with several frames, or a corrected one among B-frames
            self._last += _LEAST_STEP

    def _shown_now(self, frame: VideoFrame) -> Picture:
        return Picture(frame, self._last - (self.origin or 0.0), monotonic() < self._damaged_until)


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise CameraError(Reason.BAD_SIZE, f"{width}x{height}; each side must be from 1 to {LARGEST_SIDE}")
    if width * height > LARGEST_PIXELS:
        most = f"at most {LARGEST_PIXELS // 10**6} million pixels"
        raise CameraError(Reason.BAD_SIZE, f"{width}x{height}; must be {most}")


def _opened(source: Source, transport: str, timeouts: tuple[float, float], hwaccel: HWAccel | None) -> InputContainer:
    """`timeouts`: in seconds, for opening and reading a live source."""
    url, began = source.url if source.live else f"file:{source.url}", monotonic()
    options, timeout = _options(source, transport), timeouts if source.live else None
    try:
        return av.open(url, options=options, timeout=timeout, hwaccel=hwaccel)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if source.live and monotonic() - began >= timeouts[0]:
            # FFmpeg reports a camera that does not respond with different errors
            raise CameraError(Reason.STALLED, "no response in time") from None
        if not source.live and getattr(error, "errno", None) == errno.EINVAL:  # not among _FILE_FORMATS
            what = "not a container of video; playlists are not followed"
            raise CameraError(Reason.NOT_READABLE, f"{source.shown}: {what}") from None
        if source.tls is not None and getattr(error, "errno", None) == errno.EIO:
            what = "TLS: its certificate is not from the authority in `tls`, for this host and valid today"
            raise CameraError(Reason.UNREACHABLE, what) from None
        raise _translated(error, source) from None


def _translated(error: Exception, source: Source) -> CameraError:
    """Converts an error of a library. Its text contains the complete URL with the password, so only its reason is
    used.
    """
    text = getattr(error, "strerror", None) or type(error).__name__
    text = redact_text(text, source.secrets)
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        code = 401 if isinstance(error, av.error.HTTPUnauthorizedError) else 403
        return CameraError(Reason.UNAUTHORIZED, f"{code} from the camera")
    if isinstance(error, av.error.HTTPNotFoundError):
        return CameraError(Reason.NOT_FOUND, "404 from the camera")
    if not source.live:
        return CameraError(Reason.NOT_READABLE, f"{source.shown}: {text}")
    if isinstance(error, av.error.ExitError | TimeoutError):
        return CameraError(Reason.STALLED, "no response in time")
    if isinstance(error, av.error.InvalidDataError):
        return CameraError(Reason.NOT_READABLE, text)
    if isinstance(error, av.error.EOFError) or getattr(error, "errno", None) in (
        errno.EPIPE,
        errno.ECONNRESET,
    ):
        return CameraError(Reason.ENDED, text)
    return CameraError(Reason.UNREACHABLE, text)
