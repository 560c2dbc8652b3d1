"""The search that the page starts, in its own process, and what it writes into the site file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from stream.base.errors import StreamError
from stream.discovery.codec import packed, unpacked
from stream.discovery.errors import DeviceError
from stream.discovery.finding import Camera, Findings
from stream.discovery.looking import Seen
from stream.service.camera_search import CameraSearch
from stream.service.processes import start_process
from stream.settings.site.reading import read_site
from tests.servers.onvif import OnvifDevice, Stream
from tests.servers.processes import until
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as

FOUND = Findings([Camera("A\u00f6", "M", "h", "rtsp://10.0.0.9/1", None, Seen(1, 2, b"\xff\xd8"), "1x2")], ["b: c"])


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    before = {key: os.environ.pop(key) for key in list(os.environ) if key.startswith("MGFN_CAMERAS")}
    yield
    for key in [key for key in os.environ if key.startswith("MGFN_CAMERAS")]:
        del os.environ[key]
    os.environ.update(before)


def test_what_was_found_crosses_the_pipe() -> None:
    assert unpacked(packed(FOUND)) == FOUND


@pytest.mark.parametrize(
    "change", [{"main": "file:///etc/passwd"}, {"main": "rtsp://{MGFN_X}@h/1"}, {"sub": 7}, {"jpeg": "%"}, {"name": 1}]
)
def test_a_process_that_was_taken_over_sends_nothing_else(change: dict[str, object]) -> None:
    data = json.loads(packed(FOUND))
    data["cameras"][0] |= change
    with pytest.raises(DeviceError, match="something else"):
        unpacked(json.dumps(data).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b'{"cameras": [7], "problems": []}', b"\xff"])
def test_what_is_no_answer_is_refused(content: bytes) -> None:
    with pytest.raises(DeviceError):
        unpacked(content)


def dies(_hosts: object, _login: object, _ports: object, pipe: Connection) -> None:
    pipe.close()


@pytest.mark.slow
def test_search_choose_and_add(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("# mine\ncameras:\n  hall:\n    url: rtsp://10.0.0.7/1\n")
    login = ("viewer", "s3cret/1")
    search = CameraSearch(start_process, site, frozenset({8080}))
    with SettableCamera(Track(encode_as("h264", moving_pictures(50)))).running() as camera:
        device = OnvifDevice(Stream(camera.url), name="Front%20door", login=login)
        with device.running():
            search.start([device.host, "127.0.0.1:8080"], *login)
            with pytest.raises(StreamError, match="running already"):
                search.start([], "", "")
            until(lambda: search.state()["state"] == "done", 60, "the search")
    state = search.state()
    (found,) = state["cameras"]
    assert (found["name"], found["known"], found["sizes"]) == ("Front_door", None, "320x240")
    assert len(state["problems"]) == 1  # nothing listens at 8080, or not a camera
    jpeg = search.picture(0)
    assert jpeg is not None
    assert jpeg.startswith(b"\xff\xd8")
    assert search.picture(1) is None

    with pytest.raises(StreamError, match="search again"):
        search.add({7: "x"})
    stored = tmp_path / "secrets" / "MGFN_CAMERAS_PW"
    done = search.add({0: "yard/<b>"})
    assert done == {"added": ["yard_b"], "why": "", "yaml": "", "secret": None, "stored": str(stored)}
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("s3cret/1", 0o600)
    assert "MGFN_CAMERAS_PW" not in os.environ
    assert "s3cret" not in site.read_text()
    assert site.read_text().startswith("# mine\n")
    cameras = read_site(site).given.cameras
    assert cameras["yard_b"].url == camera.url.replace("rtsp://", "rtsp://viewer:s3cret%2F1@")
    assert search.state()["cameras"][0]["known"] == "yard_b"
    again = search.add({0: "again"})
    assert (again["added"], again["why"]) == ([], "they are in the site file already")

    search.start(["127.0.0.1:1"], "viewer", "another")  # cameras with another password
    until(lambda: search.state()["state"] == "done", 60, "the second search")
    assert search.state()["cameras"] == []

    lost = CameraSearch(lambda _target, args, name: start_process(dies, args, name), None, frozenset())
    lost.start([], "", "")
    until(lambda: lost.state()["state"] == "done", 60, "the end of the process")
    assert lost.state()["problems"] == ["the search ended without an answer"]


def test_without_a_site_file_there_are_lines_to_paste(tmp_path: Path) -> None:
    search = CameraSearch(start_process, None, frozenset())
    search._found = FOUND
    done = search.add({0: "yard"})
    assert done["added"] == []
    assert "there is no site file" in done["why"]
    assert done["yaml"] == "cameras:\n  yard:\n    url: rtsp://10.0.0.9/1\n"
    site = tmp_path / "site.yaml"
    site.write_text("cameras: {hall: {url: rtsp://h/1, fps: x}}\n")
    search = CameraSearch(start_process, site, frozenset())
    search._found = FOUND
    with pytest.raises(StreamError, match="fps"):  # the running service would refuse it
        search.add({0: "yard"})
    assert "yard" not in site.read_text()
