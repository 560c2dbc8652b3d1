"""The whole service as its users run it: a real RTSP camera, a real Mosquitto, a tiny bundle on a real backend."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import torch

from engine.geometry import write_crops
from tests.bundles import TinyBackbone, tiny_head
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, free_port, until
from tests.servers.rtsp import TestCamera, encode, moving_pictures, write_video
from tests.servers.service import lines, running

pytestmark = pytest.mark.slow

PICTURES = moving_pictures(16 * 40)


@pytest.fixture(scope="module")
def units() -> list[bytes]:
    return encode([*PICTURES, *PICTURES])  # longer than what any test waits for


def test_a_camera_becomes_an_alarm(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, units: list[bytes]) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, units)
    port = free_port()
    arguments = ["--rtsp", f"door={camera.url}", "--mqtt", mosquitto.url, "--bundle", tiny_bundle]
    arguments += ["--threshold", "0", "--http", f"127.0.0.1:{port}", "--scores", tmp_path / "s.jsonl"]
    with camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: [e["type"] for e in subscriber.events()][:1] == ["new"], what="the alarm")
        event = subscriber.events()[0]
        assert (event["camera"], event["seq"], event["test"], event["label"]) == ("door", 0, False, "anomaly")
        assert 0 < event["latency_ms"] < 15_000  # a machine that pauses; benchmarks/ hold what it is
        assert event["model"]["bundle"] == "tiny"
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON")
        assert subscriber.last("mgfn/door/status") in ("warming", "degraded")
        health = httpx.get(f"http://127.0.0.1:{port}/healthz")
        assert health.status_code == 200
        assert health.json()["cameras"]["door"]["alarm"] is True
        until(lambda: subscriber.last("mgfn/door/status") == "online", 90, "the window being full")
        assert service.stop() == 0
    assert not service.said("shutdown took too long")
    until(lambda: subscriber.last("mgfn/available") == "offline")
    until(lambda: subscriber.events()[-1]["type"] == "media", what="the last message")
    *_, last, media = subscriber.events()
    assert (last["type"], last["end_reason"], last["id"]) == ("end", "stopped", event["id"])
    # the decoder closed its clip on its way out
    assert (media["type"], media["clip"]) == ("media", f"/api/events/{event['id']}/clip.mp4")
    assert [e["seq"] for e in subscriber.events()] == list(range(len(subscriber.events())))
    until(lambda: subscriber.last("mgfn/door/anomaly") == "OFF")
    scores = lines(tmp_path / "s.jsonl")
    clips = [line["clip"] for line in scores]
    assert clips == list(range(len(clips))) or (clips == sorted(set(clips)) and service.said("cannot keep up"))
    assert [line["window"] for line in scores] == [min(32, n + 1) for n in range(len(scores))]
    # each clip's time is when its frames were due to leave the camera, within the mapping's error
    for line in scores:
        if line["clip"] >= 8:  # by then what waited while it connected is read
            began = min(camera.sent[unit] - unit / 25 for unit in range(16 * line["clip"] + 16))  # some leave late
            assert line["start"] == pytest.approx(began + 16 * line["clip"] / 25, abs=0.3)
    subscriber.close()


def test_a_log_that_nobody_reads_holds_up_no_alarm(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 1_000)
    os.set_blocking(writer, True)
    subscriber = Subscriber(mosquitto.port)
    video = write_video(tmp_path / "video.mp4", PICTURES[:200])
    command = [sys.executable, "-m", "stream.cli", "--data", str(tmp_path / "data"), "--mqtt", mosquitto.url]
    command += ["--rtsp", f"door={video}", "--rtsp", f"gone=rtsp://127.0.0.1:{free_port()}/x", "--http", "off"]
    command += ["--bundle", str(tiny_bundle), "--threshold", "0"]
    with ended(subprocess.Popen(command, stderr=writer, text=True)) as process:
        until(lambda: [e["camera"] for e in subscriber.events()][:1] == ["door"], what="the alarm")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    subscriber.close()
    os.close(reader)
    os.close(writer)


def test_live_equals_replay_equals_pytorch(tmp_path: Path, tiny_bundle: Path, units: list[bytes]) -> None:
    video = write_video(tmp_path / "video.mp4", PICTURES)
    replayed = tmp_path / "replay.jsonl"
    with running(tmp_path, "--replay", "--rtsp", video, "--bundle", tiny_bundle, "--scores", replayed) as service:
        assert service.process.wait(60) == 0
    camera = TestCamera(tmp_path, units)
    live = tmp_path / "live.jsonl"
    arguments = ["--rtsp", camera.url, "--bundle", tiny_bundle, "--scores", live, "--http", "off"]
    with camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: len(lines(live)) >= 36, 60, "36 live clips")
        service.stop(signal.SIGINT)
    by_clip = {line["clip"]: line["score"] for line in lines(replayed)}
    assert len(by_clip) == 40
    pictures = []
    import av

    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            out = np.empty((1, 224, 224, 3), np.uint8)
            write_crops(frame, "squash", out)
            pictures.append(out[0])
    stacked = torch.from_numpy(np.stack(pictures).reshape(40, 16, 224, 224, 3))
    seen = [line for line in lines(live) if line["clip"] < 40]
    clips = [line["clip"] for line in seen]
    assert clips == list(range(len(clips))) or (clips == sorted(set(clips)) and service.said("cannot keep up"))
    with torch.inference_mode():
        features = TinyBackbone()(stacked)[None, :, None]

        def score(clips: list[int]) -> float:
            return float(tiny_head()(features[:, clips[-32:]]).scores[0, -1])

        for clip in range(40):
            assert by_clip[clip] == pytest.approx(score(list(range(clip + 1))), abs=1e-3)
        for number, line in enumerate(seen):
            assert line["score"] == pytest.approx(score(clips[: number + 1]), abs=1e-3)


def test_one_camera_lost_takes_nobody_along(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, units: list[bytes]
) -> None:

    def scores_of(camera: str) -> list[dict[str, Any]]:
        return [line for line in lines(tmp_path / "s.jsonl") if line["camera"] == camera]

    subscriber = Subscriber(mosquitto.port)
    good = TestCamera(tmp_path, units)
    lost = TestCamera(tmp_path, units, login=("viewer", "hunter2"))
    arguments = ["--mqtt", mosquitto.url, "--bundle", tiny_bundle, "--http", "off", "--scores", tmp_path / "s.jsonl"]
    arguments += ["--rtsp", f"good={good.url}", "--rtsp", f"gone=rtsp://viewer:hunter2@127.0.0.1:{lost.port}/cam"]
    arguments += ["--rtsp", f"locked=rtsp://viewer:wrong-pw@127.0.0.1:{lost.port}/cam"]
    watched = ("warming", "degraded", "online")

    def starts() -> int:
        return [line["window"] for line in scores_of("gone")].count(1)

    with good.running(), running(tmp_path, *arguments) as service:
        until(lambda: subscriber.last("mgfn/good/status") in watched, what="the good camera")
        assert subscriber.last("mgfn/gone/status") == "offline"
        assert subscriber.last("mgfn/gone/available") == "offline"
        with lost.running():
            until(lambda: subscriber.last("mgfn/gone/status") in watched, what="the camera that came later")
            until(lambda: service.said("wrong user or password"), what="the refusal")
            until(lambda: len(scores_of("gone")) > 1, what="its scores")
        until(lambda: subscriber.last("mgfn/gone/status") == "offline", what="the loss")
        count = len(lines(tmp_path / "s.jsonl"))
        until(lambda: len(lines(tmp_path / "s.jsonl")) > count + 2, what="scores of the good camera")
        with lost.running():
            until(lambda: subscriber.last("mgfn/gone/status") in watched, what="the return")
            until(lambda: starts() == 2, what="scores after the return")
        assert service.stop() == 0
    assert not re.search("hunter2|wrong-pw", service.log.read_text())
    assert not any(re.search("hunter2|wrong-pw", payload) for _, payload, _ in subscriber.messages)
    subscriber.close()


def test_a_killed_decoder_is_replaced(tmp_path: Path, tiny_bundle: Path, units: list[bytes]) -> None:
    camera = TestCamera(tmp_path, units)
    scores = tmp_path / "s.jsonl"
    arguments = ["--rtsp", f"door={camera.url}", "--bundle", tiny_bundle, "--http", "off", "--scores", scores]
    with camera.running(), running(tmp_path, *arguments, "--mqtt", f"mqtt://127.0.0.1:{free_port()}") as service:
        until(lambda: len(lines(scores)) > 1)
        (decoder,) = [p for p in psutil.Process(service.process.pid).children() if "spawn_main" in str(p.cmdline())]
        decoder.kill()
        until(lambda: service.said("decoder replaced"))
        until(lambda: [line["window"] for line in lines(scores)].count(1) == 2, what="scores after the replacement")
        assert service.said("broker cannot be reached")
        assert service.stop() == 0


def test_kill_9_leaves_no_process_and_no_memory(tmp_path: Path, tiny_bundle: Path, units: list[bytes]) -> None:
    camera = TestCamera(tmp_path, units)
    scores = tmp_path / "s.jsonl"
    arguments = ["--rtsp", f"door={camera.url}", "--bundle", tiny_bundle, "--http", "off", "--scores", scores]
    with camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: len(lines(scores)) > 1)
        children = psutil.Process(service.process.pid).children(recursive=True)
        assert len(children) >= 2  # a decoder, the embedded broker
        mapped = {Path(each.path) for each in psutil.Process(service.process.pid).memory_maps()}
        assert any(path.name.startswith("memfd:mgfn-clips") for path in mapped)  # which ends with those that hold it
        service.process.kill()
        _, alive = psutil.wait_procs(children, timeout=15)
        assert not alive
    assert not service.said("leaked shared_memory")


def test_sigterm_to_every_process_at_once_keeps_the_clip(tmp_path: Path, tiny_bundle: Path, units: list[bytes]) -> None:
    camera = TestCamera(tmp_path, units)
    media = tmp_path / "data" / "media"
    arguments = ["--rtsp", f"door={camera.url}", "--bundle", tiny_bundle, "--http", "off", "--threshold", "0"]
    with camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: media.is_dir() and {file.suffix for file in media.iterdir()} >= {".jpg", ".mp4", ".npz"})
        os.killpg(service.process.pid, signal.SIGTERM)  # as systemd does
        assert service.process.wait(30) == 0
    assert not service.said("decoder replaced")
    assert not service.said("broker connection lost")
    assert sorted(file.suffix for file in media.iterdir()) == [".jpg", ".mp4", ".npz"]


def test_recordings_beside_a_camera_end_without_it(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, units: list[bytes]
) -> None:
    video = write_video(tmp_path / "video.mp4", PICTURES[:250])
    (tmp_path / "garbage.mp4").write_bytes(b"no video" * 1000)
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, units)
    arguments = ["--rtsp", f"door={camera.url}", "--rtsp", f"old={video}", "--rtsp", f"bad={tmp_path / 'garbage.mp4'}"]
    arguments += ["--mqtt", mosquitto.url, "--bundle", str(tiny_bundle), "--http", "off", "--threshold", "0"]

    def ends() -> list[tuple[str, str]]:
        return [(e["camera"], e["end_reason"]) for e in subscriber.events() if e["type"] == "end"]

    with camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: ("old", "stopped") in ends(), what="the end of the recording's alarm")
        until(lambda: subscriber.last("mgfn/old/anomaly") == "OFF")
        assert "door" not in dict(ends())
        until(lambda: service.said("recording not readable"))
        assert service.stop() == 0  # it did what it was asked to
    subscriber.close()
