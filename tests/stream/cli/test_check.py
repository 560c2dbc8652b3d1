"""`mgfn-stream --check`: a real broker and real cameras, one of them reachable, one asking for a password, one away."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn, cast

import cv2
import numpy as np
import pytest

from stream.alarm.rule import AlarmSettings
from stream.base import redaction
from stream.base.addresses import Source, expand, parse_sources
from stream.base.errors import CameraError, Reason, UsageError
from stream.cli.check import _RedactedTable, _tried, check_all
from stream.cli.tables import console
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.sinks.mqtt_client import TlsFiles
from stream.sinks.notifications import NotifySettings
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port
from tests.servers.rtsp import TestCamera, encode, moving_pictures, write_video
from tests.servers.settable_camera import SettableCamera, Track, encode_as, steady

if TYPE_CHECKING:
    from engine.engine import Engine


def check(folder: Path, bundle: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "stream.cli",
        "--check",
        "--bundle",
        bundle,
        "--data",
        folder,
        *arguments,
    ]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False)


def row(table: str, name: str) -> str:
    """What the table says of `name`, whose text may fill several lines."""
    text: dict[str, str] = {}
    last = ""
    for line in table.splitlines():
        if line.startswith("│"):
            what, *cells = (cell.strip() for cell in line.strip("│").split("│"))
            last = what or last
            text[last] = text.get(last, "") + " " + " ".join(cells)
    return text[name]


@pytest.mark.slow
def test_all_that_can_be_reached(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    video = write_video(tmp_path / "yard.mp4", moving_pictures(40))
    with TestCamera(tmp_path, encode(moving_pictures(100))).running() as camera:
        cameras = ("--rtsp", f"door={camera.url}", "--rtsp", f"yard={video}")
        done = check(tmp_path / "out", tiny_bundle, "--mqtt", mosquitto.url, *cameras)
    assert done.returncode == 0, done.stderr
    assert "ok" in row(done.stdout, "bundle")
    assert "ok" in row(done.stdout, "broker")
    assert "messages on 39 of 39 topics came back" in row(done.stdout, "topics")
    assert "bytes accepted" in row(done.stdout, "images")
    for name in ("door", "yard"):
        assert "320x240, 25.0 fps" in row(done.stdout, name)
        picture = cv2.imread(str(tmp_path / "out" / f"{name}.jpg"))
        assert picture is not None
        assert picture.shape == (240, 320, 3)
        # the frame drawn around what the model sees is yellow
        assert (abs(picture[0, 2:-2].astype(int) - (0, 220, 255)).max(axis=1) < 60).mean() > 0.9


@pytest.mark.slow
def test_masks_and_regions_are_drawn_and_eco_without_skip_still_is_named(tmp_path: Path, tiny_bundle: Path) -> None:
    write_video(tmp_path / "yard.mp4", [np.full((240, 320, 3), 200, np.uint8)] * 30)
    (tmp_path / "site.yaml").write_text(f"""
bundle: {tiny_bundle}
data: out
cameras:
  yard:
    url: yard.mp4
    masks: [[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]]
    region: {{x: 0.25, y: 0.25, width: 0.5, height: 0.75}}
    eco: true
  shed: {{url: yard.mp4, eco: true, skip_still: false}}
""")
    command = [sys.executable, "-m", "stream.cli", "--check", "--config", str(tmp_path / "site.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "eco has no effect: skip_still is off" in row(done.stdout, "shed")
    assert "eco" not in row(done.stdout, "yard")
    picture = cv2.imread(str(tmp_path / "out" / "yard.jpg"))
    assert picture is not None
    assert picture[20:50, 20:70].mean() < 60  # masked, outside the region
    assert picture[70:110, 90:150].mean() < 60  # masked, inside
    assert picture[140:220, 100:220].mean() > 180
    assert picture[20:50, 180:300].mean() > 180
    for y, x in ((60, 200), (238, 200), (150, 80), (150, 238)):  # the line around the region
        assert abs(picture[y, x].astype(int) - (0, 220, 255)).max() < 90


@pytest.mark.slow
def test_what_cannot_is_named_without_its_password(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "broker").mkdir()
    units = encode(moving_pictures(100))
    with (
        Mosquitto(tmp_path / "broker", password="right-one").running() as broker,
        TestCamera(tmp_path, units, login=("user", "right-one")).running() as camera,
    ):
        wrong = camera.url.replace("//", "//user:wr0ng-one@")
        away = f"rtsp://127.0.0.1:{free_port()}/cam"
        mqtt = broker.url.replace("//", "//mgfn:wr0ng-one@")
        cameras = ("--rtsp", f"door={wrong}", "--rtsp", f"yard={away}", "--rtsp", "six=rtsp://[fe80::1]:9/cam")
        done = check(tmp_path / "out", tiny_bundle, "--mqtt", mqtt, *cameras)
    assert done.returncode == 1, done.stderr
    assert "wrong user or password" in row(done.stdout, "broker")
    assert "wrong user or password" in row(done.stdout, "door")
    assert "failed" in row(done.stdout, "yard")
    assert "unreachable" in row(done.stdout, "yard")
    assert "rtsp://[fe80::1]:9/cam" in row(done.stdout, "six")
    assert "wr0ng-one" not in done.stdout + done.stderr
    assert not list((tmp_path / "out").glob("*.jpg"))


def settings(folder: Path, cameras: tuple[CameraConfig, ...], targets: tuple[str, ...]) -> ServiceSettings:
    return ServiceSettings(
        cameras, None, TlsFiles(), "mgfn", "n", replay=False, scores=None, data=folder, notify=NotifySettings(targets)
    )


ENGINE = cast(
    "Engine",
    SimpleNamespace(
        bundle=SimpleNamespace(path="b"), backend=SimpleNamespace(name="openvino"), reason="given",
        manifest=SimpleNamespace(geometry=""),
    ),
)  # fmt: skip


def test_a_target_that_is_wrong_has_its_row_and_the_rest_is_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"notify\.targets\[1\]: must be a URL that Apprise supports"):
        check_all(settings(tmp_path, (), ("json://hunter2@h", "nonsense://hunter2")), ENGINE, tmp_path)
    said = capsys.readouterr().out
    assert "failed notify.targets[1]: must be a URL" in row(said, "notify")
    assert "ok" in row(said, "broker")
    assert "hunter2" not in said


def test_cameras_are_tried_all_at_once_and_the_table_keeps_to_its_width(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(16, timeout=10)

    def tried(*_: object) -> NoReturn:
        together.wait()  # broken where one waits for the other
        raise CameraError(Reason.STALLED, "no response in time")

    monkeypatch.setattr("stream.cli.check._tried", tried)
    monkeypatch.setenv("COLUMNS", "90")
    alarm = AlarmSettings(0.8, 0.6)
    cameras = tuple(CameraConfig(source, alarm) for source in parse_sources(["rtsp://h/a"] * 16))
    assert not check_all(settings(tmp_path, cameras, ("json://h",)), ENGINE, tmp_path)
    said = capsys.readouterr().out
    assert said.count("no response in time") == 16
    assert max(map(len, said.splitlines())) <= 90


def test_ctrl_c_leaves_the_cameras_that_have_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def interrupted(*camera: object) -> NoReturn:
        tried.append(camera)
        threading.Event().wait(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr("stream.cli.check._AT_ONCE", 1)
    monkeypatch.setattr("stream.cli.check._tried", interrupted)
    alarm = AlarmSettings(0.8, 0.6)
    cameras = tuple(CameraConfig(source, alarm) for source in parse_sources(["rtsp://h/a"] * 20))
    with pytest.raises(KeyboardInterrupt):
        check_all(settings(tmp_path, cameras, ("json://h",)), ENGINE, tmp_path)
    assert len(tried) < 20


def test_a_filled_in_value_is_in_no_cell_of_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(redaction, "_filled_in", set())
    monkeypatch.setenv("MGFN_CANARY", "k4nari=en/vogel")
    expand("{MGFN_CANARY}", "--rtsp")
    table = _RedactedTable("what", "found")
    table.add_row("door", "rtsp://h/user=k4nari%3Den%2Fvogel: no [such] stream k4nari=en/vogel :100:")
    console(160).print(table)
    shown = capsys.readouterr().out
    assert "k4nari" not in shown
    assert "no [such] stream *** :100:" in shown


@pytest.mark.slow
def test_the_check_of_a_camera_of_few_pictures() -> None:
    units = encode_as("h264", moving_pictures(50))
    with SettableCamera(Track(units, steady(1))).running() as slow:
        found, _ = _tried(Source("slow", slow.url, live=True), "tcp")
    assert "1.0 fps; a clip spans 16 s (0.64 s in training): fast incidents are missed" in found
    with SettableCamera(Track(units, steady(0.125))).running() as too_slow, pytest.raises(CameraError) as caught:
        _tried(Source("slow", too_slow.url, live=True), "tcp")
    assert "nothing is scored: the camera sends a frame every 8 s" in caught.value.detail
    at = [k // 10 * 1.9 + k % 10 / 25 for k in range(100)]
    with (
        SettableCamera(Track(units, lambda k: (at[k], at[k]))).running() as pausing,
        pytest.raises(CameraError) as caught,
    ):
        _tried(Source("pausing", pausing.url, live=True), "tcp")
    assert "it pauses, and never sends 16 frames in a row" in caught.value.detail
