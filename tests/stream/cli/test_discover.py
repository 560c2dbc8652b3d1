"""`mgfn-stream discover`: an ONVIF device and a real RTSP server with a login, into a site file that then works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

from stream.archive.store import Store
from stream.base.errors import UsageError
from stream.cli.discover import discover_cameras
from stream.discovery.finding import Camera, Findings
from stream.discovery.looking import Seen
from stream.settings.site.reading import read_site
from tests.servers.onvif import OnvifDevice, Stream
from tests.servers.rtsp import TestCamera, encode, moving_pictures

PASSWORD = "s3cret p@ss/word"


def mgfn_stream(*arguments: object, password: str | None = PASSWORD) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MGFN_")}
    if password is not None:
        environment["MGFN_CAMERAS_PW"] = password
    command = [sys.executable, "-m", "stream.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environment, stdin=subprocess.DEVNULL
    )


@pytest.mark.slow
def test_from_an_unknown_network_to_a_site_file_that_is_checked(tmp_path: Path, tiny_bundle: Path) -> None:
    site, pictures = tmp_path / "site.yaml", tmp_path / "pictures"
    login = ("viewer", PASSWORD)
    with TestCamera(tmp_path, encode(moving_pictures(100)), login=login).running() as camera:
        streams = (Stream(f"{camera.url}?main"), Stream(camera.url, 640, 360))
        with OnvifDevice(*streams, name="Front%20door", login=login, clock=7_200).running() as device:
            command = ("discover", device.host, "--user", "viewer", "--pictures", pictures)
            first = mgfn_stream(*command, "--write", site)
            assert (first.returncode, first.stderr) == (0, "")
            assert "added to" in first.stdout
            assert cv2.imread(str(pictures / "Front_door.jpg")).shape == (240, 320, 3)  # type: ignore[union-attr]
            written = site.read_text()
            assert f"viewer:{{MGFN_CAMERAS_PW}}@127.0.0.1:{camera.port}/cam" in written

            Store.open(tmp_path / "state").close()  # mgfn-stream has run with this file
            hall = f"data: {tmp_path / 'state'}\n{written}".replace("Front_door", "hall").replace("/cam", "/old")
            other = tmp_path / "other.yaml"
            other.write_text(hall)
            assert mgfn_stream(*command, "--write", other).returncode == 0
            with Store.read_only(tmp_path / "state") as store:
                (change,) = store.audit.latest(10)
            assert (change.via, change.camera, change.what) == ("command line", "Front_door", "camera_added")

            again = mgfn_stream(*command, "--write", site, "--json")
            assert site.read_text() == written
            (row,) = json.loads(again.stdout)["cameras"]
            assert (row["name"], row["known"], row["host"]) == ("Front_door", True, device.host)

            wrong = mgfn_stream(*command, password="wrong one")
            assert wrong.returncode == 1
            assert "wrong user or password" in wrong.stdout
        checked = mgfn_stream(
            "--check", "--config", site, "--bundle", tiny_bundle, "--data", tmp_path / "d", "--http", "off"
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    for said in (first, again, wrong, checked):
        assert not any(secret in said.stdout + said.stderr for secret in ("s3cret", "wrong one"))
    assert "s3cret" not in written


def test_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MGFN_CAMERAS_PW", raising=False)

    def said(*, user: str | None = None, write: Path | None = None, hosts: tuple[str, ...] = ("127.0.0.1:1",)) -> str:
        with pytest.raises(UsageError) as caught:
            discover_cameras(list(hosts), user, write, tmp_path, [], False)
        return str(caught.value)

    assert "must be USER, or USER:{MGFN_NAME}" in said(user="viewer:plain")
    assert "plain" not in said(user="viewer:plain")
    assert "{MGFN_CAMERAS_PW} is neither" in said(user="viewer")
    assert "{MGFN_OTHER} is neither" in said(user="viewer:{MGFN_OTHER}")
    assert "the folder does not exist" in said(write=tmp_path / "none" / "site.yaml")
    assert "must be HOST or HOST:PORT" in said(hosts=("http://h/",))
    (tmp_path / "empty.yaml").mkdir()
    assert "not a file" in said(write=tmp_path / "empty.yaml")


def test_the_password_is_asked_for_and_never_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MGFN_CAMERAS_PW", raising=False)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("getpass.getpass", lambda _prompt: PASSWORD)
    monkeypatch.setattr("stream.discovery.finding.Finder.find", _found)
    assert discover_cameras(["127.0.0.1:1"], "viewer", tmp_path / "site.yaml", tmp_path, [], False)
    said = "".join(capsys.readouterr())
    stored = tmp_path / "secrets" / "MGFN_CAMERAS_PW"
    assert f"The password is stored in {stored}" in " ".join(said.split())
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == (PASSWORD, 0o600)
    assert "s3cret" not in said + (tmp_path / "site.yaml").read_text()
    assert discover_cameras(["127.0.0.1:1"], "viewer", tmp_path / "site.yaml", tmp_path, [], False)  # not asked again
    given = read_site(tmp_path / "site.yaml").given.cameras["Yard"]
    assert given.url == "rtsp://viewer:s3cret%20p%40ss%2Fword@10.0.0.9/1"
    assert discover_cameras(["127.0.0.1:1"], "viewer", None, tmp_path, [], False)
    said = "".join(capsys.readouterr())
    assert "put the password into the environment variable or the secret file MGFN_CAMERAS_PW" in said


async def _found(_finder: object) -> Findings:
    seen = Seen(640, 360, b"jpeg")
    return Findings([Camera("Yard", f"knows {PASSWORD}", "h", "rtsp://10.0.0.9/1", None, seen, "640x360")])


def test_nothing_found_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not discover_cameras(["127.0.0.1:1"], None, None, tmp_path, [], False)
    assert "ONVIF at port 1: no connection" in capsys.readouterr().out
