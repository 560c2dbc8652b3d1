"""A canary beside a live bundle: it changes nothing of the live scores and alarms, and what it finds is true."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from engine.bundle import Bundle
from engine.engine import Engine
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.archive.journal import Journal
from stream.archive.store import Store
from stream.base.addresses import Source
from stream.camera.messages import ClipReady
from stream.service.canary import Canary
from stream.settings.settings import CameraConfig
from stream.watch.canary_camera import chosen
from stream.watch.decoder_process import DecoderProcess
from stream.watch.metrics import _LOST, Metrics
from stream.watch.watched_camera import Scored, WatchedCamera
from tests.bundles import bundle_with_another_head, copy_bundle
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.rtsp import moving_pictures, write_video
from tests.servers.service import lines, running
from tests.stream.watch.reporting import journal_of

CLIPS = 12
LIVE = ModelName("live", "0" * 64, "openvino")
ALARM = AlarmSettings(0.5, 0.4)


def door() -> DecoderProcess:
    config = CameraConfig(Source("door", "rtsp://h/1", live=True), ALARM)
    clips = np.zeros((5, 1, 16, 224, 224, 3), np.uint8)
    found = SimpleNamespace(config=config, camera=WatchedCamera(config, LIVE), ring=SimpleNamespace(clips=clips))
    return cast(DecoderProcess, found)


def scored(number: int, *, waited: float = 0.0) -> Scored:
    clip = ClipReady(0, number, float(number), number + 1.0, time.monotonic() - waited, 0)
    return Scored(clip, 0.5, 0.5, number + 1, None, None, connects=number == 0)


def canary_of(engine: Engine, journal: Journal, store: Store) -> tuple[Canary, Metrics]:
    metrics = Metrics(LIVE)
    canary = Canary(engine, 1.0, LIVE, ALARM, journal, metrics, store.clock, {})
    canary.choose(["door"])
    return canary, metrics


def counted(metrics: Metrics) -> dict[str, int]:
    text = metrics.exposition(0, dict.fromkeys(_LOST, 0)).decode()
    rows = [line for line in text.splitlines() if line.startswith("mgfn_canary_clips_total{")]
    return {row.split('"')[1]: int(float(row.split()[-1])) for row in rows}


def test_clips_for_which_there_is_no_time_are_skipped_and_counted(tiny_bundle: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, Engine.open(tiny_bundle, "openvino", "cpu", one_core=True) as engine:
        journal = journal_of(store)
        canary, metrics = canary_of(engine, journal, store)
        camera = door()
        for number in range(8):  # nobody takes them: the first four wait, with their frames
            canary.offer(camera, scored(number))
        canary._line.put(None)
        canary.run()
        assert counted(metrics) == {"scored": 4, "skipped": 4}
        canary.offer(camera, scored(8))
        canary.offer(camera, scored(9, waited=0.6))  # the live engine is behind
        canary._line.put(None)
        canary.run()
        assert counted(metrics) == {"scored": 5, "skipped": 5}
        canary.choose(["yard"])
        canary.offer(camera, scored(10))
        assert canary._line.empty()
        writer = threading.Thread(target=journal.run)
        writer.start()
        journal.stop()
        writer.join(20)
        first, second = store.canary.spans(0.0)
        assert (first.scored, first.skipped, second.scored, second.skipped) == (4, 4, 1, 1)
        assert first.gaps == ((first.start + 4, first.start + 8),)
        assert (first.live, first.canary_sha256) == ("live", engine.bundle.sha256)


def test_a_canary_that_hangs_costs_only_its_own_clips(tiny_bundle: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, Engine.open(tiny_bundle, "openvino", "cpu") as engine:
        canary, metrics = canary_of(engine, journal_of(store), store)
        canary._line = queue.Queue(3)
        camera = door()
        for number in range(5):
            canary.offer(camera, scored(number))
        assert counted(metrics) == {"skipped": 2}
        canary.stop()
        canary.run()
        assert counted(metrics) == {"skipped": 4}


def said(*arguments: object) -> str:
    command = [sys.executable, "-m", "stream.cli", "--http", "off", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    return done.stderr.strip().splitlines()[-1]


def write_site(path: Path, bundle: Path, canary: Path, video: Path, cameras: Sequence[str], more: str = "") -> Path:
    rows = [f"bundle: {bundle}", "self_test: 0", "http: {address: off}", more, "cameras:"]
    rows[1:1] = [f"canary: {{bundle: {canary}, share: 0.4}}"]
    rows += [f"  {name}: {{url: {video}}}" for name in cameras]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.slow
def test_a_canary_that_cannot_be_compared_is_refused_at_the_start(
    tmp_path: Path, tiny_bundle: Path, field_bundle: Path
) -> None:
    video = write_video(tmp_path / "video.mp4", moving_pictures(32))

    def refused(canary: Path) -> str:
        site = write_site(tmp_path / "site.yaml", tiny_bundle, canary, video, ["door"])
        return said("--config", site, "--data", tmp_path / "data")

    missing = tmp_path / "missing"
    assert f"canary: bundle {missing}: no manifest.json" in refused(missing)
    assert f"canary: bundle {tiny_bundle}: is the live bundle" in refused(tiny_bundle)
    assert "has the geometry focus, but clips are cut for that of the live bundle, squash" in refused(field_bundle)
    damaged = copy_bundle(tiny_bundle, tmp_path / "damaged", extra=b"1")
    (damaged / "extra").write_bytes(b"2")
    assert "extra was changed" in refused(damaged)
    site = write_site(tmp_path / "site.yaml", tiny_bundle, damaged, video, ["door"])
    site.write_text(site.read_text().replace("0.4", "1.5"))
    assert "canary.share: 1.5: must be at most 1" in said("--config", site)


@pytest.mark.slow
def test_live_scores_and_alarms_are_those_without_a_canary_and_the_comparison_is_right(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    other = bundle_with_another_head(tiny_bundle, tmp_path / "other")
    video = write_video(tmp_path / "video.mp4", moving_pictures(16 * CLIPS, seed=1))
    cameras = ["door", "yard", "gate"]
    site = write_site(tmp_path / "site.yaml", tiny_bundle, other, video, cameras)

    def replayed(bundle: Path) -> list[float]:
        path = tmp_path / f"{bundle.name}.jsonl"
        arguments = ["--replay", "--rtsp", f"door={video}", "--bundle", bundle, "--scores", path]
        with running(tmp_path, *arguments) as service:
            assert service.process.wait(120) == 0
        return [line["score"] for line in lines(path)]

    old, new = replayed(tiny_bundle), replayed(other)
    subscriber = Subscriber(mosquitto.port)
    live, events = tmp_path / "live.jsonl", tmp_path / "events.jsonl"
    arguments = ["--config", site, "--mqtt", mosquitto.url, "--scores", live, "--events", events]
    with running(tmp_path, *arguments) as service:
        assert service.process.wait(120) == 0
    by_camera = {name: [line for line in lines(live) if line["camera"] == name] for name in cameras}
    whole = {name: seen for name, seen in by_camera.items() if len(seen) == CLIPS}
    assert len(whole) == len(cameras) or service.said("cannot keep up")
    for seen in whole.values():
        assert [line["score"] for line in seen] == pytest.approx(old, abs=1e-3)
    begun = [event for event in lines(events) if event["type"] == "new"]
    assert sorted(event["camera"] for event in begun) == sorted(cameras)
    assert {event["model"]["sha256"] for event in begun} == {Bundle.open(tiny_bundle).sha256}
    published = {event["id"] for event in subscriber.events()}
    assert published == {event["id"] for event in begun}
    subscriber.close()

    told = compared(tmp_path / "data")
    assert (told["live"], told["canary"]) == ("tiny", "other")
    assert [each["camera"] for each in told["cameras"]] == sorted(chosen(cameras, 0.4))
    for each in told["cameras"]:
        clips, scores, alarms = each["clips"], each["scores"], each["alarms"]
        seen = by_camera[each["camera"]]
        assert clips["scored"] + clips["skipped"] == len(seen)
        assert (alarms["live"], alarms["canary"]) == (1, 0)
        if not clips["skipped"] and len(seen) == CLIPS:
            apart = np.abs(np.subtract(old, new))
            assert scores["mean_difference"] == pytest.approx(apart.mean(), abs=2e-3)
            assert scores["largest_difference"] == pytest.approx(apart.max(), abs=2e-3)
            event = next(event for event in begun if event["camera"] == each["camera"])
            assert [alarm["id"] for alarm in alarms["only_live"]] == [event["id"]]


def compared(data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "stream.cli.mgfn_events", "canary", "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return cast(dict[str, Any], json.loads(done.stdout))


@pytest.mark.slow
def test_a_canary_whose_engine_fails_is_reported_once_and_live_scoring_goes_on(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    other = bundle_with_another_head(tiny_bundle, tmp_path / "other")
    video = write_video(tmp_path / "video.mp4", moving_pictures(16 * CLIPS, seed=1))
    site = write_site(tmp_path / "site.yaml", tiny_bundle, other, video, ["door"])
    live = tmp_path / "live.jsonl"
    program = "tests.stream.service.failing_canary"
    with running(tmp_path, "--config", site, "--scores", live, program=program) as service:
        assert service.process.wait(120) == 0
    log = service.log.read_text()
    assert log.count("canary stopped; live scoring goes on") == 1
    assert "MemoryError: 1 clips" in log
    assert len(lines(live)) == CLIPS or "cannot keep up" in log
    told = compared(tmp_path / "data")
    assert told["verdict"] == "The canary stopped: MemoryError: 1 clips."
    assert told["total"]["clips"]["scored"] == 0
