"""Real ONVIF devices over loopback: honest ones, liars, and those that hang. Their streams are opened by a stand-in."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler

import pytest

from stream.base.errors import CameraError, Reason
from stream.discovery import finding
from stream.discovery.finding import Finder, Findings
from stream.discovery.looking import Seen
from stream.discovery.onvif import Profile, chosen
from stream.discovery.soap import LARGEST_ANSWER, Login
from stream.discovery.targets import Targets, named_host
from tests.servers.onvif import OnvifDevice, Stream, answering_probes

LOGIN = Login("viewer", "p<&>w\u00e9")
MAIN, SUB = Stream("rtsp://127.0.0.1:9/main?a=1&b=2"), Stream("rtsp://127.0.0.1:9/sub", 640, 360)


class Opened:
    """Opens streams without a network."""

    def __init__(self, *missing: str, reason: Reason = Reason.NOT_FOUND) -> None:
        self.urls: list[str] = []
        self._missing, self._reason = missing, reason

    async def __call__(self, url: str, _login: Login | None) -> Seen:
        self.urls.append(url)
        if any(part in url for part in self._missing):
            raise CameraError(self._reason)
        return Seen(640, 360, b"jpeg")


def find(
    *hosts: str, login: Login | None = None, opened: Callable[[str, Login | None], Awaitable[Seen]] | None = None
) -> Findings:
    async def run() -> Findings:
        targets = Targets(tuple([await named_host(host) for host in hosts]), frozenset({8080}))
        return await Finder(login, targets, opened or Opened()).find(1.0)

    return asyncio.run(run())


def problem(device: OnvifDevice, login: Login | None = None) -> str:
    """Why nothing is found at the device; no maker's address is there either."""
    found = find(device.host, login=login, opened=Opened("127", reason=Reason.NOT_READABLE))
    assert not found.cameras
    (line,) = found.problems
    assert "\n" not in line
    assert len(line) < 400
    return line


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("auth", ["token", "digest"])
def test_a_device_is_found_with_its_streams_and_the_password_is_never_sent(version: int, auth: str) -> None:
    device = OnvifDevice(
        SUB, MAIN, login=("viewer", LOGIN.password), version=version, auth=auth, clock=86_400  # type: ignore[arg-type]
    )  # fmt: skip
    opened = Opened()
    with device.running():
        found = find(device.host, login=LOGIN, opened=opened)
        assert not found.problems
        (camera,) = found.cameras
        assert (camera.name, camera.maker, camera.main, camera.sub) == ("Front door", "Maker M1", MAIN.url, SUB.url)
        assert sorted(opened.urls) == sorted([MAIN.url, SUB.url])
        assert b"p&lt;" not in device.requests
        assert LOGIN.password.encode() not in device.requests

        asked = len(device.asked)
        assert "wrong user or password" in problem(device, Login("viewer", "wrong"))
        assert device.asked[asked:].count("GetDeviceInformation") + device.asked[asked:].count("GetServices") <= 3
        assert "wrong user or password" in problem(device)


def test_a_hundred_profiles_cost_two_questions_and_each_video_source_is_a_camera() -> None:
    many = [Stream(f"rtsp://127.0.0.1:9/{n}", 100 + 10 * n, 100 + 5 * n) for n in range(100)]
    with OnvifDevice(*many).running() as device:
        (camera,) = find(device.host).cameras
        assert device.asked.count("GetStreamUri") == 2
        assert (camera.main, camera.sub) == (many[99].url, many[25].url)  # 350x225
    lenses = [Stream(f"rtsp://127.0.0.1:9/{n}", source=f"lens{n}") for n in range(40)]
    with OnvifDevice(*lenses, name="Four%20eyes").running() as device:
        cameras = find(device.host).cameras
        assert len(cameras) == 32
        assert cameras[0].name == "Four eyes 1"


def test_which_profiles_are_proposed() -> None:
    def profile(width: int, height: int, encoding: str = "H264") -> Profile:
        return Profile(f"{width}", "s", encoding, width, height)

    large, middle, small = profile(1920, 1080), profile(640, 360), profile(320, 180)
    assert chosen([small, large, middle]) == [(large, middle)]
    assert chosen([profile(3840, 2160, "JPEG"), large]) == [(large, None)]
    assert chosen([profile(640, 480, "JPEG")]) == [(profile(640, 480, "JPEG"), None)]
    assert chosen([profile(0, 0)]) == [(profile(0, 0), None)]
    assert chosen([small]) == [(small, None)]
    assert chosen([]) == []


def test_a_stream_that_does_not_open_is_left_out() -> None:
    with OnvifDevice(MAIN, SUB).running() as device:
        (camera,) = find(device.host, opened=Opened("/sub")).cameras
        assert (camera.main, camera.sub) == (MAIN.url, None)
        (camera,) = find(device.host, opened=Opened("/main")).cameras
        assert (camera.main, camera.sub) == (SUB.url, None)
        found = find(device.host, opened=Opened("/main", "/sub"))
        assert not found.cameras
        assert "no such stream" in found.problems[0]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest", "169.254.169.254:80, a metadata service"),
        ("http://127.0.0.1:8080/api/state", "127.0.0.1:8080, a port of mgfn-stream itself"),
        ("http://8.8.8.8/", "a public address"),
        ("ftp://127.0.0.1/", "not http:// or https://"),
        ("", "no media service"),
    ],
)
def test_a_device_that_points_elsewhere_is_refused(url: str, why: str) -> None:
    device = OnvifDevice(MAIN, media=url or " ")
    with device.running():
        assert why in problem(device)
    if url.startswith("http"):
        with OnvifDevice(Stream(url.replace("http", "rtsp"))).running() as liar:
            assert why.replace(":80,", ":554,") in problem(liar)


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


def _streaming(chunk: bytes, times: int, pause: float = 0.0) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            for _ in range(times):
                handler.wfile.write(chunk)
                time.sleep(pause)
        except OSError:
            pass

    return answer


def _redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(307)
    handler.send_header("Location", "http://169.254.169.254/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (BOMB, "entities"),
        (BOMB.decode().encode("utf-16"), "not XML"),
        (b"<a" * 10_000, "not XML"),
        (b"<a>" * 50_000 + b"</a>" * 50_000, "no ONVIF answer"),
        (b"", "not XML"),
        (_streaming(b"x" * (1 << 16), 2 * LARGEST_ANSWER // (1 << 16)), "more than 2 MiB"),
        (_redirect, "redirect"),
        (lambda handler: handler.wfile.write(b"\x00\xff" * 100), "not a valid HTTP answer"),
    ],
)
def test_answers_that_are_none(raw: bytes | Callable[[BaseHTTPRequestHandler], None], why: str) -> None:
    for operation in ("GetSystemDateAndTime", "GetProfiles"):
        device = OnvifDevice(MAIN)
        device.raw = {operation: raw}
        with device.running():
            assert why in problem(device)


def test_faults_are_said_in_one_line_without_markup_of_the_terminal() -> None:
    fault = (
        b'<e:Envelope xmlns:e="e"><e:Body><e:Fault><e:Reason><e:Text>\x1b[31mno\n\nway ' + b"x" * 5_000 + b"</e:Text>"
        b"</e:Reason></e:Fault></e:Body></e:Envelope>"
    ).replace(b"\x1b", b"&#x9b;")
    device = OnvifDevice(MAIN)
    device.raw = {"GetProfiles": fault}
    with device.running():
        assert "it refuses the question: [31mno way xxx" in problem(device)


def test_a_device_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "DEVICE_TIME", 0.6)
    released = threading.Event()
    silent, drips, good = OnvifDevice(MAIN), OnvifDevice(MAIN), OnvifDevice(MAIN)
    silent.raw = {"GetProfiles": lambda _handler: (released.wait(30), None)[1]}
    drips.raw = {"GetSystemDateAndTime": _streaming(b" ", 300, 0.05)}
    with silent.running(), drips.running(), good.running():
        began = time.monotonic()
        found = find(silent.host, drips.host, good.host, opened=Opened("/Streaming", reason=Reason.STALLED))
        assert time.monotonic() - began < 5
        released.set()
    assert [camera.host for camera in found.cameras] == [good.host]
    assert len(found.problems) == 2
    assert all("took more than" in line for line in found.problems)


def test_the_address_patterns_of_makers_are_tried_until_one_answers() -> None:
    opened = Opened("/Streaming", "/cam/")
    with OnvifDevice().running() as device:  # has no profiles
        (camera,) = find(device.host, opened=opened).cameras
    assert camera.sub is not None
    assert camera.sub.endswith("/h264Preview_01_sub")
    assert camera.maker == "answers at an address of Reolink"
    assert [url.rpartition("/")[2] for url in opened.urls][:2] == ["102", "realmonitor?channel=1&subtype=1"]

    refused = Opened("/", reason=Reason.UNAUTHORIZED)
    with OnvifDevice().running() as device:
        found = find(device.host, opened=refused)
    assert len(refused.urls) == 1  # a second attempt could lock the user
    assert "wrong user or password" in found.problems[0]


def test_the_url_of_a_stream_is_opened_and_nothing_else_is_asked() -> None:
    opened = Opened("/wrong")
    found = find("rtsp://127.0.0.1:9/a/b?c=1", "rtsp://127.0.0.1:9/wrong", opened=opened)
    (camera,) = found.cameras
    assert (camera.main, camera.sub, camera.host) == ("rtsp://127.0.0.1:9/a/b?c=1", None, "127.0.0.1")
    assert opened.urls == ["rtsp://127.0.0.1:9/a/b?c=1", "rtsp://127.0.0.1:9/wrong"]
    assert found.problems == ["127.0.0.1: rtsp://127.0.0.1:9/wrong: no such stream"]


@pytest.mark.slow
def test_a_probe_finds_a_device_and_an_answer_that_points_to_loopback_is_refused() -> None:
    with OnvifDevice(MAIN).running() as device, answering_probes(device.url, "Front%20door"):
        found = find()
    assert not found.cameras
    assert [line for line in found.problems if f"Front door: it points to 127.0.0.1:{device.port}" in line]
    assert device.asked == []
