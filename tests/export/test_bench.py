"""`mgfn-bench`: its search, its report, a real try with one camera, and Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from rich.console import Console

from configs.processes import ChildError, wait_for
from export.bench import cli, report
from export.bench.cameras import Scenes, Try, attempt, watching
from export.bench.machine import describe
from export.bench.search import next_count
from tests.servers.processes import ended, until
from tests.servers.rtsp import moving_pictures, write_video


@pytest.mark.parametrize("capacity", [0, 1, 2, 3, 5, 9, 10, 11, 40, 130])
@pytest.mark.parametrize("first", [1, 8, 12, 100])
@pytest.mark.parametrize("most", [None, 1, 10])
def test_the_search_ends_at_the_largest_number_that_is_held(capacity: int, first: int, most: int | None) -> None:
    tried: dict[int, bool] = {}
    while (count := next_count(tried, first, most)) is not None:
        assert count not in tried
        assert 1 <= count <= (most or count)
        tried[count] = count <= capacity
    held = max((count for count, was_held in tried.items() if was_held), default=0)
    assert held == min(capacity, most or capacity)
    assert len(tried) <= 16


def engine(name: str, wall: float) -> dict[str, object]:
    return {
        "name": name,
        "device": "cpu",
        "backbone_clip_ms": wall,
        "backbone_clip_cpu_ms": 2 * wall,
        "clips_per_second": {"1": round(1000 / wall, 1)},
        "head_window_ms": 1.5,
    }


def a_try(cameras: int, held: bool) -> Try:
    lag = {"p50": 40.0 * cameras, "p95": 60.0 * cameras, "max": 99.0 * cameras}
    cpu = {"camera": 2.0, "service": 20.0, "broker": 1.0, "other": 4.0, "servers": 3.0}
    return Try(cameras, 15.0, held, 0 if held else 7, 20, 23, lag, cpu, {"camera": 60.0, "service": 400.0})


@pytest.mark.slow
def test_the_json_is_the_contracts(tmp_path: Path) -> None:
    backbones = {
        "i3d": {"channels": 1024, "gflop": 55.6, "torch_clip_ms": 400.0},
        "videoswin-t": {"channels": 768, "gflop": 87.8, "torch_clip_ms": 920.0},
    }
    engines: list[dict[str, Any]] = [
        engine("torch", 400.0),
        engine("openvino-int8", 40.0),
        {"name": "torch-window", "window_step_ms": 9000.0},
        {"name": "torch-backbones", "backbones": backbones},
    ]
    tries = [a_try(4, True), a_try(8, False), a_try(6, True)]
    decoding = {"640x360": {"fps_per_core": 1500.0, "decode_ms": 0.4, "scale_ms": 0.2}}
    found = report.summary(describe(), engines, decoding, a_try(1, True), tries, ["tensorrt: left out"])
    assert found["backbone_clip_ms"] == {"torch": 400.0, "openvino-int8": 40.0}
    assert found["head_window_ms"] == {"torch": 1.5, "openvino-int8": 1.5}
    assert found["decode_fps_per_core"] == 1500.0
    assert found["backbones"] == backbones
    cameras = found["cameras"]
    assert (cameras["tried"], cameras["held"], cameras["dropped_clips"]) == (8, 6, 0)
    assert cameras["lag_ms"] == {"p50": 240.0, "p95": 360.0}
    assert [one["cameras"] for one in cameras["tries"]] == [4, 6, 8]
    written = report.write(found, tmp_path / "bench.json")
    assert json.loads(written[0].read_text()) == found
    assert "null" not in written[0].read_text()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".png"] == ["bench.json"]
    console = Console(record=True, width=200)
    report.show(console, found)
    text = console.export_text()
    assert "10.0 x" in text
    assert "6 cameras held (640x360, 25 frames/s; 8 tried)" in text
    assert re.search(r"videoswin-t\W+768\W+87\.8\W+920\W+2\.3 x", text)
    assert "tensorrt: left out" in text


def test_the_report_says_what_the_cameras_show() -> None:
    quiet = replace(a_try(4, True), quiet=0.9, eco=True)
    found = report.summary(describe(), [engine("torch", 400.0)], {}, None, [quiet], [])
    assert (found["cameras"]["quiet"], found["cameras"]["eco"]) == (0.9, True)
    console = Console(record=True, width=200)
    report.show(console, found)
    assert "4 cameras held (640x360, 25 frames/s, 90 % quiet, eco; 4 tried)" in console.export_text()


def test_quiet_cameras_are_spread() -> None:
    scenes = Scenes(Path("busy"), Path("still"), 0.9)
    assert sum(scenes.of(number) == Path("still") for number in range(1, 41)) == 36
    assert {scenes.of(number) for number in range(1, 11)} == {Path("busy"), Path("still")}
    assert Scenes(Path("busy")).of(3) == Path("busy")


def test_none_held_is_said_and_what_is_absent_is_left_out() -> None:
    found = report.summary(
        {"cpu": "x", "cores": 1, "memory_gib": 1}, [], {}, Try(1, 10, False, 0, 0, 16), [a_try(1, False)], []
    )
    assert (found["cameras"]["held"], found["cameras"]["dropped_clips"]) == (0, 7)
    assert set(found) == {"machine", "cameras"}


@pytest.mark.slow
def test_a_service_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    says = "exit code 2; its last output: .*nowhere"
    with pytest.raises(ChildError, match=says), watching(1, Scenes(tmp_path / "video.mp4"), tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--cameras", "0"], "--cameras 0: must be from 1 to 512"),
        (["--seconds", "1"], "--seconds 1: must be from 5 to 60"),
        (["--json", "/nowhere/x.json"], "--json /nowhere/x.json: cannot be written"),
        (["--quiet", "1.5"], "--quiet 1.5: must be from 0 to 1"),
        (["--eco"], "--eco: needs --quiet: where something moves, everything is decoded"),
        (["--bundle", "/nowhere"], "--bundle /nowhere: must be a bundle, a folder with a manifest.json"),
        (["--only", "gpus"], "'gpus' is not one of 'cameras', 'engines'"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(flags: list[str], says: str) -> None:
    done = subprocess.run([sys.executable, "-m", "export.bench.cli", *flags], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert says in line


@pytest.mark.slow
def test_what_was_measured_before_a_stop_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path
) -> None:
    def measure(_bundle: object, _until: float, _say: object, rows: list[object], _notes: object, **_: object) -> None:
        rows.append(engine("torch", 400.0))
        raise KeyboardInterrupt

    rate = {"fps_per_core": 1500.0, "decode_ms": 0.4, "scale_ms": 0.2}
    monkeypatch.setattr(cli, "_default_bundle", lambda: tiny_bundle)
    monkeypatch.setattr("export.bench.footage.as_a_camera", lambda _size: tmp_path)
    monkeypatch.setattr("export.bench.decode.measure", lambda *_: rate)
    monkeypatch.setattr("export.bench.engines.measure", measure)
    monkeypatch.setattr(sys, "argv", ["mgfn-bench", "--json", str(tmp_path / "bench.json")])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 130
    found = json.loads((tmp_path / "bench.json").read_text())
    assert (found["backbone_clip_ms"], found["decode_fps_per_core"]) == ({"torch": 400.0}, 1500.0)
    assert found["notes"] == ["interrupted by the user; the remaining measurements are missing"]
    assert "interrupted by the user" in capsys.readouterr().out


@pytest.mark.slow
def test_one_real_camera(tmp_path: Path, tiny_bundle: Path) -> None:
    video = write_video(tmp_path / "video.mp4", moving_pictures(16 * 60))
    one = attempt(1, Scenes(video), tiny_bundle, 5.0, 1.0)
    assert not one.note
    assert one.clips + one.dropped_clips >= 6
    assert one.clips >= 4  # in five seconds there are seven or eight
    assert 0 < one.lag_ms["p50"] <= one.lag_ms["p95"] <= one.lag_ms["max"]
    assert 0 < one.computed <= 1
    assert one.cpu_percent["camera"] > 0
    assert one.memory_mib["camera"] > 10


@pytest.mark.slow
def test_eco_reaches_the_cameras(tmp_path: Path, tiny_bundle: Path) -> None:
    still = write_video(tmp_path / "still.mp4", moving_pictures(1) * 200)

    def skipped() -> float:
        metrics = httpx.get(f"{watched.page}metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in metrics if line.startswith("mgfn_packets_skipped_total{"))

    with watching(1, Scenes(still, eco=True), tiny_bundle) as watched:
        until(lambda: skipped() > 0, 60, "packets that are not decoded")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ctrl_c_leaves_no_process_behind(default_bundle: Path) -> None:
    command = [sys.executable, "-m", "export.bench.cli"]
    with ended(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "engine: " in line:  # a child is measuring
                break
        wait_for(lambda: psutil.Process(process.pid).children(), process, "the child")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
