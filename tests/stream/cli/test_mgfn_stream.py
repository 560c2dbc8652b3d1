"""Wrong use of `mgfn-stream`: one line that names the flag, what was given and what is allowed; exit code 2."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from engine.geometry import write_crops
from stream.cli import mgfn_stream as cli
from stream.service import running
from tests.bundles import TinyBackbone, tiny_head
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port
from tests.servers.rtsp import moving_pictures, write_video


@pytest.fixture(autouse=True)
def keep_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)


@pytest.fixture(autouse=True)
def own_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.mp4", moving_pictures(40))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-stream", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--rtsp: give at least one camera"),
        (["--rtsp", "http://host/1"], "http://host/1: scheme not supported; must be an rtsp:// or rtsps:// URL"),
        (["--rtsp", "a+b=rtsp://host/1"], "camera name 'a+b'"),
        (["--rtsp", "a=rtsp://h/1", "--rtsp", "a=rtsp://h/2"], "two cameras are named 'a'"),
        (["--rtsp", "rtsp://h/1", "--threshold", "1.5"], "--threshold 1.5: must be from 0 to 1"),
        (["--rtsp", "rtsp://h/1", "--threshold", "x"], "--threshold"),
        (["--rtsp", "rtsp://h/1", "--mqtt", "http://b"], "must be mqtt[s]://"),
        (["--rtsp", "rtsp://h/1", "--device", "tpu"], "--device tpu: must be auto, cpu, cuda[:N], gpu or npu"),
        (["--rtsp", "rtsp://h/1", "--topic-prefix", "a/#"], "--topic-prefix"),
        (["--rtsp", "rtsp://h/1", "--topic-prefix", "\udcff"], "--topic-prefix"),
        (["--rtsp", "rtsp://h/1", "--topic-prefix", "mgfn/"], "--topic-prefix 'mgfn/': must be printable"),
        (["--rtsp", "rtsp://h/1", "--topic-prefix", ""], "--topic-prefix ''"),
        (["--rtsp", "rtsp://h/1", "--replay"], "--replay: sources must be recordings"),
        (["--rtsp", "rtsp://h/1", "--http", "0.0.0.0:0"], "require --http-token-file"),
        (["--rtsp", "rtsp://h/1", "--http", "nonsense"], "must be HOST:PORT or off"),
        (
            ["--check", "--rtsp", "rtsp://h/1", "--http", "0.0.0.0:80"],
            "--http 0.0.0.0:80: addresses other than loopback",
        ),
        (["--replay", "--rtsp", __file__, "--http", "nonsense"], "--http nonsense: must be HOST:PORT or off"),
        (["--rtsp", "rtsp://u:{MGFN_NOWHERE}@h/1"], "{MGFN_NOWHERE} is neither"),
        (["--no-such-flag"], "--no-such-flag"),
        (["door=rtsp://u:geheim@h/x"], "'door=rtsp://***@h/x'"),
        (["--rtsp", "rtsp://h/1", "--config", "site.yaml"], "--config, --rtsp: both were given; use only one"),
        (["--config", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["--config", "/"], "/: not a file; must be a YAML file"),
    ],
)
def test_wrong_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(monkeypatch, *arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("mgfn-stream: ")
    assert says in lines[0]


def test_the_port_that_was_named_is_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run(monkeypatch, "--rtsp", "rtsp://h/1", "--http", address) == 2
    assert f"--http {address}: Address already in use" in capsys.readouterr().err


def test_a_damaged_bundle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, video: Path
) -> None:
    (tmp_path / "manifest.json").write_text('{"schema_version": 9}')
    assert run(monkeypatch, "--replay", "--rtsp", video, "--bundle", tmp_path) == 2
    assert "schema version 9 is newer" in capsys.readouterr().err


def test_a_scores_file_that_cannot_be_written_or_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, video: Path
) -> None:
    # said before the bundle is looked at
    arguments = ["--replay", "--rtsp", video, "--bundle", tmp_path / "none", "--scores", "/nowhere/s.jsonl"]
    assert run(monkeypatch, *arguments) == 2
    assert "--scores /nowhere/s.jsonl: cannot be written" in capsys.readouterr().err
    scores = tmp_path / "s.jsonl"
    assert run(monkeypatch, *arguments[:-1], scores) == 2
    assert not scores.exists()
    scores.write_text("an earlier line\n")
    assert run(monkeypatch, *arguments[:-1], scores) == 2
    assert scores.read_text() == "an earlier line\n"


def test_a_wrong_site_file_gets_a_line_for_each_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("mqt: {}\nhttp: {address: '192.0.2.1:80'}\ncameras:\n  door: {url: 'http://u:hunter2@h'}\n")
    assert run(monkeypatch, "--config", path, "--data", tmp_path / "data") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line.partition(f"mgfn-stream: {path}:")[2][:24] for line in lines] == [
        "1: mqt: unknown key; did",
        "2: http.address: 192.0.2",
        "4: cameras.door.url: htt",
    ]
    assert "hunter2" not in "".join(lines)
    assert not (tmp_path / "data").exists()


def test_a_name_that_is_not_filled_in_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    urls = ["--rtsp", "door=rtsp://u:{DOOR_PW}@h/1", "--mqtt", "mqtt://u:{MQTT_PW}@h"]
    assert run(monkeypatch, *urls, "--http", "off", "--data", tmp_path, "--bundle", tmp_path / "none") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "only {MGFN_NAME} is replaced" in line]
    assert [('"door"' in line, '"mqtt"' in line) for line in said] == [(True, False), (False, True)]
    assert "_PW" not in "".join(said)


def test_a_live_camera_in_a_replay_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "site.yaml").write_text("cameras: {door: {url: rtsp://h/1}}")
    assert run(monkeypatch, "--replay", "--config", tmp_path / "site.yaml") == 2
    assert "--replay: sources must be recordings; door is a live URL" in capsys.readouterr().err


def replayed(monkeypatch: pytest.MonkeyPatch, scores: Path, *arguments: object) -> dict[str, list[dict[str, Any]]]:
    """Score lines by camera."""
    assert run(monkeypatch, "--replay", "--scores", scores, *arguments) == 0
    found: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, scores.read_text().splitlines()):
        found.setdefault(line["camera"], []).append(line)
    return found


SITE = """
bundle: {bundle}
scores: nowhere/never-used.jsonl
defaults: {{alarm: {{threshold_on: 0.7, threshold_off: 0.35}}, schedule: [{{days: [mon], from: "01:00", to: "02:00"}}]}}
cameras:
  plain: {{url: video.mp4}}
  masked: {{url: video.mp4, masks: [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]], alarm: {{threshold_on: 0.6}}}}
  cut: {{url: video.mp4, region: {{x: 0.5, y: 0, width: 0.5, height: 1}}}}
"""


@pytest.mark.slow
def test_masks_and_regions_move_the_score_of_a_replay_and_flags_go_before_the_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path, video: Path
) -> None:
    (tmp_path / "site.yaml").write_text(SITE.format(bundle=tiny_bundle))
    found = replayed(monkeypatch, tmp_path / "s.jsonl", "--config", tmp_path / "site.yaml")
    assert {name: lines[0]["threshold"] for name, lines in found.items()} == {"plain": 0.7, "masked": 0.6, "cut": 0.7}
    scores = {name: [line["score"] for line in lines] for name, lines in found.items()}
    # as the bundle's own models see the same pictures, half of them black or cut away
    clips = np.empty((2, 16, 224, 224, 3), np.uint8)
    with av.open(str(video)) as container:
        for number, frame in enumerate(itertools.islice(container.decode(video=0), 32)):
            write_crops(frame, "squash", clips[number // 16, number % 16][None])
    black = clips.copy()
    black[..., :114, :] = 0  # the border is two pixels wide, or three with rounding
    for name, pictures, within in (("plain", clips, 1e-3), ("masked", black, 2e-3)):
        with torch.inference_mode():
            features = TinyBackbone()(torch.from_numpy(pictures))[None, :, None]
            expected = [float(tiny_head()(features[:, :n]).scores[0, -1]) for n in (1, 2)]
        assert scores[name] == pytest.approx(expected, abs=within)
    assert abs(np.array(scores["plain"]) - np.array(scores["masked"])).min() > 0.01
    assert scores["cut"] != scores["plain"]

    capfd.readouterr()
    flagged = replayed(monkeypatch, tmp_path / "t.jsonl", "--config", tmp_path / "site.yaml", "--threshold", "0.2")
    assert {lines[0]["threshold"] for lines in flagged.values()} == {0.2}
    assert {name: [line["score"] for line in lines] for name, lines in flagged.items()} == scores
    assert not (tmp_path / "nowhere").exists()
    # a recording has no time of day: the schedule is left out
    assert capfd.readouterr().err.count('"event": "alarm new"') == 3


def test_help_is_instant_and_shows_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == 0
    assert "Example: mgfn-stream --rtsp door=rtsp://" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_recording_that_is_no_video_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path, video: Path
) -> None:
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(b"no video" * 1000)
    scores = tmp_path / "s.jsonl"
    arguments = ["--replay", "--rtsp", f"good={video}", "--rtsp", f"bad={garbage}", "--bundle", tiny_bundle]
    assert run(monkeypatch, *arguments, "--scores", scores) == 2
    assert "mgfn-stream: bad: not readable as video" in capfd.readouterr().err
    # the other recording was read to its end
    assert [json.loads(line)["clip"] for line in scores.read_text().splitlines()] == [0, 1]


@pytest.mark.slow
def test_a_replay_waits_for_the_broker_and_fails_where_it_stays_away(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tiny_bundle: Path, tmp_path: Path, video: Path
) -> None:
    monkeypatch.setattr(running, "_REPLAY_WAITS", 3.0)
    arguments = ["--replay", "--rtsp", f"old={video}", "--bundle", tiny_bundle, "--threshold", "0"]
    nobody = f"mqtt://127.0.0.1:{free_port()}"
    assert run(monkeypatch, *arguments, "--mqtt", nobody) == 1
    said = capfd.readouterr().err.splitlines()
    assert said[-1] == f"mgfn-stream: --mqtt {nobody}: 2 event messages were not delivered"
    assert run(monkeypatch, *arguments[:-1], "1", "--mqtt", nobody) == 0  # it had nothing to tell

    monkeypatch.setattr(running, "_REPLAY_WAITS", 60.0)
    (tmp_path / "mosquitto").mkdir()
    broker = Mosquitto(tmp_path / "mosquitto")
    later = threading.Timer(1.5, broker.start)
    later.start()
    try:
        assert run(monkeypatch, *arguments, "--mqtt", broker.url) == 0
    finally:
        later.join()
        broker.kill()
