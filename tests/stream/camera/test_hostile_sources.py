"""Hostile cameras and recordings: redirects, playlists, bombs, session descriptions of any bytes."""

from __future__ import annotations

import io
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.base.addresses import Source
from stream.base.errors import CameraError, Reason
from stream.camera.capture import Capture, Flood
from tests.servers.rtsp import moving_pictures, write_video
from tests.servers.rtsp_answers import answering, described, redirecting

GROWTH = 200  # MB


def fault(source: Source) -> CameraError:
    with pytest.raises(CameraError) as caught, Capture(source, open_timeout=2.0, read_timeout=2.0) as capture:
        for _ in itertools.islice(capture.pictures(), 1_000):
            pass
    return caught.value


def live(port: int) -> Source:
    return Source("door", f"rtsp://user:hunter2@127.0.0.1:{port}/cam", live=True)


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "concat:/etc/passwd|/etc/group", "subfile,,start,0,end,9,,:/etc/passwd", "data:video/mp4,x",
     "http://127.0.0.1:PORT/a.mp4", "https://127.0.0.1:PORT/a.mp4", "tcp://127.0.0.1:PORT", "udp://127.0.0.1:PORT",
     "rtmp://127.0.0.1:PORT/a", "hls+http://127.0.0.1:PORT/a.m3u8", "gopher://127.0.0.1:PORT/x", "/etc/passwd",
     "../../etc/passwd", "unix:/run/x.sock", "pipe:0"],
)  # fmt: skip
def test_a_redirect_to_what_is_no_camera_is_not_followed(location: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        there = location.replace("PORT", str(elsewhere.getsockname()[1]))
        with answering(redirecting(there)) as port:
            error = fault(live(port))
        assert "hunter2" not in str(error)
        with suppress(BlockingIOError):  # nobody came ...
            client, _ = elsewhere.accept()
            client.settimeout(1)
            assert client.recv(100) == b""  # ... or nothing was asked


def test_playlists_and_descriptions_that_name_other_files_are_not_followed(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_pictures(32))
    write_video(tmp_path / "a.ts", moving_pictures(32))
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    parts = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\na.ts\n#EXT-X-ENDLIST\n"
    for name, text in {
        "list.txt": "ffconcat version 1.0\nfile a.mp4\n",
        "list.m3u8": parts,
        "list.mp4": parts,  # whatever its name says
        "keys.m3u8": parts.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/passwd"\n#EXTINF'),
        "stream.sdp": f"{sdp}a=rtpmap:96 H264/90000\n",
        "list.mpd": '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>a.mp4</BaseURL></Period></MPD>',
    }.items():
        (tmp_path / name).write_text(text)
        error = fault(Source("door", str(tmp_path / name), live=False))
        assert error.reason is Reason.NOT_READABLE, name


# bombs: each in a process of its own, so that its memory can be measured

MEASURE = """
import json, re, sys
from stream.base.addresses import Source
from stream.base.errors import CameraError
from stream.camera.capture import Capture
import av, io
with av.open(io.BytesIO(open(sys.argv[1], "rb").read())) as small:  # loads what every decoder loads
    for frame in small.decode(video=0):
        frame.to_ndarray(format="rgb24")
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = peak()
reason = ""
try:
    with Capture(Source("door", sys.argv[2], live=sys.argv[2].startswith("rtsp"))) as capture:
        for number, _ in enumerate(capture.pictures()):
            if number == 3000:
                break
except CameraError as error:
    reason = error.reason.name
print(json.dumps([reason, peak() - before]))
"""


def measured(small: Path, url: str | Path) -> tuple[str, float]:
    """The reason of the refusal, and by how many MB the process grew."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(url)], capture_output=True, text=True, timeout=60, check=True
    )
    reason, growth = json.loads(done.stdout)
    return str(reason), float(growth)


def picture_bomb(path: Path, width: int, height: int) -> Path:
    """An AVI of JPEG images of 64x64 whose own headers say otherwise."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"\xff\xc0\x00\x11\x08", at)) >= 0:
        data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
        at += 9
    path.write_bytes(data)
    return path


def codes(*values: int | str) -> bytes:
    """Numbers as Exp-Golomb codes, text as bits, as in an H.264 header."""
    bits = "".join(v if isinstance(v, str) else "0" * ((v + 1).bit_length() - 1) + f"{v + 1:b}" for v in values)
    bits += "1" + "0" * (-(len(bits) + 1) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def h264_bomb(path: Path, macroblocks: int) -> Path:
    """A real H.264 stream whose parameter set promises images of 16 * macroblocks on each side."""
    small = io.BytesIO()
    with av.open(small, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"profile": "baseline", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    sides = (macroblocks - 1, macroblocks - 1)
    header = codes("010000100000000000111110", 0, 0, 2, 16, "0", *sides, "1", "1", "0", "0")
    units = small.getvalue().replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
    changed = [b"\x67" + header if unit[0] & 31 == 7 else unit for unit in units]
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in changed) * 3)
    return path


@pytest.mark.slow
def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    small = write_video(tmp_path / "small.mp4", moving_pictures(30))

    def endless(request: bytes) -> Iterator[bytes]:
        if request.startswith(b"DESCRIBE"):
            yield b"RTSP/1.0 200 OK\r\nCSEQ\r\nContent-Type: application/sdp\r\nContent-Length: 2000000000\r\n\r\n"
            while True:
                yield b"a=x:" + b"y" * 65_000 + b"\r\n"
        yield b"RTSP/1.0 200 OK\r\nCSEQ\r\nPublic: DESCRIBE\r\n\r\n"

    def headers(_request: bytes) -> Iterator[bytes]:
        yield b"RTSP/1.0 200 OK\r\nCSEQ\r\n"
        while True:
            yield b"X-x: " + b"y" * 65_000 + b"\r\n"

    media = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
    media += b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" * 30_000
    found = {
        "16k x 16k JPEG": measured(small, picture_bomb(tmp_path / "bomb.avi", 16_000, 16_000)),
        "8k x 8k JPEG": measured(small, picture_bomb(tmp_path / "less.avi", 8_000, 8_000)),
        "16k x 16k H.264": measured(small, h264_bomb(tmp_path / "bomb.h264", 1_000)),
        "1000 fps": measured(small, write_video(tmp_path / "fast.mp4", moving_pictures(30, 64, 64), fps=1_000)),
    }
    for name, answer in {"body": endless, "headers": headers, "media": described(media)}.items():
        with answering(answer) as port:
            began = time.monotonic()
            found[f"endless {name}"] = measured(small, f"rtsp://127.0.0.1:{port}/cam")
            assert time.monotonic() - began < 30
    print(found)
    assert all(reason for reason, _ in found.values()), found
    assert all(growth < GROWTH for _, growth in found.values()), found
    assert found["1000 fps"][0] == "BAD_RATE"


def test_a_camera_that_sends_a_thousand_images_a_second_is_refused() -> None:
    flood = Flood(0.0)
    for number in range(25 * 60):
        flood.packet(number / 25)
    for number in range(2_401):
        flood.packet(100 + number / 1_000)
    with pytest.raises(CameraError, match="frame rate not supported: more than 240 packets per second"):
        flood.packet(102.41)


LINES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([
        b"v=0", b"s=x", b"t=0 0", b"m=video 0 RTP/AVP 96", b"m=video 0 RTP/AVP 26", b"m=audio 0 RTP/AVP 0",
        b"a=rtpmap:96 H264/90000", b"a=rtpmap:96 H265/90000", b"a=rtpmap:96 JPEG/90000", b"a=control:*",
        b"a=control:rtsp://169.254.169.254/", b"a=control:file:///etc/passwd", b"c=IN IP4 224.0.0.1/127",
        b"a=fmtp:96 sprop-parameter-sets=Z0IAKukBQHsg,aM4xUg==", b"a=fmtp:96 sprop-parameter-sets=" + b"A" * 5_000,
        b"a=fmtp:96 config=" + b"F" * 3_000, b"a=rtpmap:96 " + b"X" * 3_000, b"a=range:npt=0-1e999",
        b"a=rtpmap:4294967296 H264/0", b"m=video 99999999 RTP/AVP " + b"9 " * 900, b"a=framerate:-1",
    ]),
)  # fmt: skip


def peak_memory(*, reset: bool = False) -> float:
    """Of this process, in MB, since it was reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, max_size=12))
def test_any_session_description_is_an_error_of_ours(lines: list[bytes]) -> None:
    before = peak_memory(reset=True)
    with answering(described(b"\r\n".join(lines) + b"\r\n")) as port:
        began = time.monotonic()
        with pytest.raises(CameraError), Capture(live(port), open_timeout=0.3, read_timeout=0.3) as capture:
            next(capture.pictures())
        assert time.monotonic() - began < 10
    assert peak_memory() - before < GROWTH
