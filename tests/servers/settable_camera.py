"""An RTSP camera whose RTP times, delays, login and SDP lines are set by the test. RTP over TCP or UDP."""

from __future__ import annotations

import base64
import io
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import av

from engine.arrays import UInt8Array
from tests.servers.processes import free_port

_LARGEST_PAYLOAD: Final = 1300
_PARAMETER_SETS: Final = {"h264": (7, 8), "h265": (32, 33, 34)}

When = Callable[[int], tuple[float, float]]
"""Number of an access unit -> seconds after PLAY at which it is sent, RTP time in seconds."""


def steady(fps: float) -> When:
    """Sent as stamped."""
    return lambda index: (index / fps, index / fps)


def encode_as(codec: str, pictures: Sequence[UInt8Array], fps: int = 25, gop: int = 25, **more: str) -> list[bytes]:
    """Access units (Annex B) of `codec`, "h264" or "h265", with parameter sets before every keyframe."""
    height, width = pictures[0].shape[:2]
    name = {"h264": "libx264", "h265": "libx265"}[codec]
    settings = f"{name[3:]}-params"
    common = f"repeat-headers=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0"
    extra = "sliced-threads=0" if codec == "h264" else "log-level=none"
    options = {"preset": "ultrafast", settings: ":".join([common, extra, *(f"{k}={v}" for k, v in more.items())])}
    units = []
    with av.open(io.BytesIO(), "w", format={"h264": "h264", "h265": "hevc"}[codec]) as container:
        stream = container.add_stream(name, rate=fps, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            units += [bytes(packet) for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))]
        units += [bytes(packet) for packet in stream.encode(None)]
    return units


def nal_units(unit: bytes) -> list[bytes]:
    """The NAL units of an access unit, without start codes."""
    return [nal for nal in re.split(rb"\x00\x00\x00?\x01", unit) if nal]


def _kind(nal: bytes, codec: str) -> int:
    return nal[0] & 31 if codec == "h264" else (nal[0] >> 1) & 63


@dataclass(frozen=True)
class Track:
    """One media line of the camera: access units, each with its time, from unit `first` on.

    `described`: parameter sets are in the SDP. `in_band`: they are sent with the frames. `encoding`: the name of the
    codec in the SDP, if it differs.
    """

    units: Sequence[bytes]
    when: When = field(default_factory=lambda: steady(25))
    codec: str = "h264"
    described: bool = True
    in_band: bool = True
    first: int = 0
    loop: bool = True
    encoding: str = ""

    def sdp(self, payload: int) -> list[str]:
        lines = [f"m=video 0 RTP/AVP {payload}", f"a=rtpmap:{payload} {self.encoding or self.codec.upper()}/90000"]
        if not self.described or self.encoding:
            return lines
        first = [nal for nal in nal_units(self.units[0]) if _kind(nal, self.codec) in _PARAMETER_SETS[self.codec]]
        sets = [base64.b64encode(nal).decode() for nal in first]
        if self.codec == "h264":
            return [*lines, f"a=fmtp:{payload} packetization-mode=1;sprop-parameter-sets={','.join(sets)}"]
        return [*lines, f"a=fmtp:{payload} sprop-vps={sets[0]};sprop-sps={sets[1]};sprop-pps={sets[2]}"]

    def payloads(self, index: int) -> list[bytes]:
        """RTP payloads of an access unit."""
        nals = nal_units(self.units[index % len(self.units)])
        if not self.in_band:
            nals = [nal for nal in nals if _kind(nal, self.codec) not in _PARAMETER_SETS[self.codec]]
        return [piece for nal in nals for piece in _fragments(nal, self.codec)]


@dataclass(frozen=True)
class Silence(Track):
    """Audio: G.711, 160 samples a packet."""

    def sdp(self, payload: int) -> list[str]:
        return [f"m=audio 0 RTP/AVP {payload}", f"a=rtpmap:{payload} PCMU/8000"]

    def payloads(self, index: int) -> list[bytes]:
        del index
        return [b"\xff" * 160]


def _fragments(nal: bytes, codec: str) -> list[bytes]:
    if len(nal) <= _LARGEST_PAYLOAD:
        return [nal]
    kind, header = _kind(nal, codec), 1 if codec == "h264" else 2
    lead = bytes([(nal[0] & 0xE0) | 28]) if codec == "h264" else bytes([(nal[0] & 0x81) | (49 << 1), nal[1]])
    body = nal[header:]
    pieces = []
    for at in range(0, len(body), _LARGEST_PAYLOAD):
        begins, ends = at == 0, at + _LARGEST_PAYLOAD >= len(body)
        pieces.append(lead + bytes([begins << 7 | ends << 6 | kind]) + body[at : at + _LARGEST_PAYLOAD])
    return pieces


class SettableCamera:
    """One camera at `url`; `login` is required by its basic authentication. Use `running()`.

    `loss`: it also sends over UDP, and this share of the packets is lost.
    """

    def __init__(self, *tracks: Track, login: tuple[str, str] | None = None, loss: float | None = None) -> None:
        self._loss = loss
        self._dice = random.Random(7)
        self.tracks = tracks
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"rtsp://{self.host}/cam"
        self.played_at: list[float] = []  # epoch time of each PLAY
        self._login = "" if login is None else "Basic " + base64.b64encode(":".join(login).encode()).decode()
        self._stopped = threading.Event()
        self._clients: list[socket.socket] = []

    @contextmanager
    def running(self) -> Iterator[SettableCamera]:
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()
            try:
                yield self
            finally:
                self._stopped.set()
                listener.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """Close every connection; clients may come back."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._clients.clear()

    def _serve(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        gone = threading.Event()
        self._clients.append(client)
        try:
            self._talk(client, gone)
        except OSError:
            pass
        finally:
            gone.set()
            client.close()

    def _talk(self, client: socket.socket, gone: threading.Event) -> None:
        said, lock = client.makefile("rb"), threading.Lock()
        channels: dict[int, int] = {}
        while first := said.read(1):
            if first == b"$":  # RTCP of the client
                said.read(struct.unpack(">BH", said.read(3))[1])
                continue
            request = (first + said.readline()).decode("latin1").strip()
            headers: dict[str, str] = {}
            while line := said.readline().decode("latin1").strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            if not request:
                continue
            method, url = request.split()[:2]
            status, extra, body = self._answer(method, url, headers, channels)
            lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', 0)}", *extra, f"Content-Length: {len(body)}"]
            with lock:
                client.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin1"))
            if method == "PLAY" and status == "200 OK":
                self.played_at.append(time.time())
                for number, channel in channels.items():
                    args = (client, lock, gone, number, channel)
                    threading.Thread(target=self._send, args=args, daemon=True).start()
            elif method == "TEARDOWN":
                return

    def _answer(
        self, method: str, url: str, headers: dict[str, str], channels: dict[int, int]
    ) -> tuple[str, list[str], str]:
        if method == "OPTIONS":
            return "200 OK", ["Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY"], ""
        if self._login and headers.get("authorization") != self._login:
            return "401 Unauthorized", ['WWW-Authenticate: Basic realm="camera"'], ""
        if method == "DESCRIBE":
            return "200 OK", ["Content-Type: application/sdp", f"Content-Base: {url}/"], self._sdp()
        if method == "SETUP":
            channel = re.search(r"interleaved=(\d+)", headers.get("transport", ""))
            track = re.search(r"track(\d+)", url)
            udp = re.search(r"client_port=(\d+)-", headers.get("transport", ""))
            if udp is not None and track is not None and self._loss is not None:
                channels[int(track[1])] = -int(udp[1])
                transport = f"RTP/AVP;unicast;client_port={udp[1]}-{int(udp[1]) + 1};server_port=9000-9001"
                return "200 OK", ["Session: 1;timeout=60", f"Transport: {transport}"], ""
            if channel is None or track is None:
                return "461 Unsupported Transport", [], ""
            number = int(channel[1])
            channels[int(track[1])] = number
            transport = f"RTP/AVP/TCP;unicast;interleaved={number}-{number + 1}"
            return "200 OK", ["Session: 1;timeout=60", f"Transport: {transport}"], ""
        return "200 OK", ["Session: 1;timeout=60"], ""

    def _sdp(self) -> str:
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
        for number, track in enumerate(self.tracks):
            lines += [*track.sdp(96 + number), f"a=control:track{number}"]
        return "\r\n".join(lines) + "\r\n"

    def _send(
        self, client: socket.socket, lock: threading.Lock, gone: threading.Event, number: int, channel: int
    ) -> None:
        track, begin, sequence, sent = self.tracks[number], time.monotonic(), 0, 0
        try:
            while track.loop or track.first + sent < len(track.units):
                wall, stamp = track.when(sent)
                if gone.wait(max(0.0, begin + wall - time.monotonic())):
                    return
                payloads = track.payloads(track.first + sent)
                sent += 1
                for left, payload in zip(range(len(payloads) - 1, -1, -1), payloads, strict=True):
                    kind = (0 if left else 0x80) | (96 + number)
                    ticks = round(stamp * 90_000) % 2**32
                    packet = struct.pack(">BBHII", 0x80, kind, sequence % 2**16, ticks, 1000 + number) + payload
                    sequence += 1
                    if channel < 0:
                        self._send_datagram(packet, -channel)
                        continue
                    with lock:
                        client.sendall(b"$" + bytes([channel]) + struct.pack(">H", len(packet)) + packet)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _send_datagram(self, packet: bytes, port: int) -> None:
        if self._dice.random() >= (self._loss or 0.0):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(packet, ("127.0.0.1", port))
