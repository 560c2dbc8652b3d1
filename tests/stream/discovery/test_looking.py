"""Streams that are opened: good ones, liars, and one that never shows a whole image."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from stream.base.errors import CameraError, Reason
from stream.discovery import looking
from stream.discovery.looking import Seen, with_login
from stream.discovery.relay import relayed
from stream.discovery.soap import Login
from tests.servers.certificates import Authority
from tests.servers.rtsp import moving_pictures
from tests.servers.rtsp_answers import answering, described, redirecting
from tests.servers.settable_camera import SettableCamera, Track, encode_as


def look(url: str, login: Login | None = None) -> Seen:
    return asyncio.run(looking.look(url, login))


@pytest.mark.slow
def test_an_image_is_taken_with_a_login_of_any_characters() -> None:
    login = Login("view er", "p@ss/w:rd%?#\u00e9")
    units = encode_as("h264", moving_pictures(30))
    with SettableCamera(Track(units), login=("view er", login.password)).running() as camera:
        seen = look(camera.url, login)
        assert seen.size == "320x240"
        picture = cv2.imdecode(np.frombuffer(seen.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (240, 320, 3)
        with pytest.raises(CameraError) as caught:
            look(camera.url, Login("view er", "wrong"))
        assert caught.value.reason is Reason.UNAUTHORIZED
    assert with_login("rtsp://h/1?a=b", None) == "rtsp://h/1?a=b"


LOGIN = Login("viewer", "hunter2")
DESCRIBED = b"RTSP/1.0 200 OK\r\nCSEQ\r\nContent-Length: 0\r\n"


@pytest.mark.parametrize("late", [False, True])
def test_a_redirect_is_not_followed_with_or_without_a_login_before_it(late: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        asks = [b'RTSP/1.0 401 No\r\nCSEQ\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'] if late else []
        moved = redirecting(f"rtsp://127.0.0.1:{elsewhere.getsockname()[1]}/cam")
        camera = answering(lambda request: iter([asks.pop()]) if asks else moved(request))
        with camera as port, pytest.raises(CameraError) as caught:
            look(f"rtsp://127.0.0.1:{port}/cam", LOGIN)
        assert str(caught.value) == "not readable as video: the answer is a redirect, which is not followed"
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize(
    "answer",
    [b" RTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1:PORT/\r\n\r\n",
     b"\r\nRTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1:PORT/\r\n\r\n",
     b"RTSP/1.0\t302 Moved\nLocation: rtsp://127.0.0.1:PORT/\n\n",
     b"RTSP/2.0 302 Moved\r\nLocation: rtsp://127.0.0.1:PORT/\r\n\r\n",
     DESCRIBED + b"Content-Length: 80\r\n\r\nRTSP/1.0 302 Moved\r\nCSEQ\r\nLocation: rtsp://127.0.0.1:PORT/\r\n\r\n",
     DESCRIBED + b"$\0\0\x02: RTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1:PORT/\r\n\r\n",
     b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
     b"x" * 100_000, b"RTSP/1.0 200 OK\r\n" + b"a: b\r\n" * 20_000, b"\0\xff\n\n", b""],
)  # fmt: skip
def test_answers_that_hide_a_redirect_or_are_none_reach_nobody(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        said = answer.replace(b"PORT", b"%d" % elsewhere.getsockname()[1])
        camera = answering(lambda _request: iter([said or b"\r\n" * 9]))
        with camera as port, pytest.raises(CameraError) as caught:
            look(f"rtsp://127.0.0.1:{port}/cam", LOGIN)
        assert "hunter2" not in str(caught.value)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_nothing_stays_open_if_what_the_camera_sent_is_not_read() -> None:
    packet = b"$\0\x10\0" + bytes(4096)

    async def leave(port: int) -> int:
        async with asyncio.timeout(60), relayed(f"rtsp://127.0.0.1:{port}/cam", 5) as (through, relay):
            _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(through).port, limit=1)
            writer.write(b"PLAY rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            while not ((sender := relay._client) and sender.transport.get_write_buffer_size()):
                await asyncio.sleep(0.01)
        writer.transport.abort()
        return sender.transport.get_write_buffer_size()

    with answering(lambda _request: itertools.repeat(packet)) as port:
        assert asyncio.run(leave(port)) == 0
    gc.collect()  # what is open would warn


@pytest.mark.slow
def test_faults_name_the_camera_and_not_the_relay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CameraError, match="unreachable: "):
        look(f"rtsp://127.0.0.1:{port}/cam")
    with answering(lambda _request: iter([])) as port:
        for scheme in ("rtsp", "rtsps"):
            with pytest.raises(CameraError, match="no frame in time: no response in time"):
                look(f"{scheme}://127.0.0.1:{port}/cam")
    audio = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
    with answering(described(audio)) as port, pytest.raises(CameraError, match=f"no video stream: .*127.0.0.1:{port}"):
        look(f"rtsp://127.0.0.1:{port}/cam", LOGIN)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*Authority(tmp_path / "ca").issue("camera"))  # of an authority that nobody knows
    missing = b"RTSP/1.0 404 Not Found\r\nCSEQ\r\n\r\n"
    with answering(lambda _request: iter([missing]), tls) as port, pytest.raises(CameraError, match="no such stream"):
        look(f"rtsps://127.0.0.1:{port}/cam", LOGIN)


@pytest.mark.slow
def test_a_stream_that_never_shows_a_whole_image_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LONGEST", 0.5)
    units = encode_as("h264", moving_pictures(60), gop=250)[1:]  # no keyframe
    camera = SettableCamera(Track(units, lambda n: (n / 100, n / 25)))
    with camera.running(), pytest.raises(CameraError, match="no whole image in"):
        look(camera.url, None)
