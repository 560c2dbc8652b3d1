"""A disk that hangs, for real: whoever writes to it waits."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from stream.archive.store import Store
from tests.built_once import recording
from tests.servers.disks import hanging_disk
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.rtsp import TestCamera
from tests.servers.service import lines, running

pytestmark = pytest.mark.slow

HANGS_FOR = 30.0  # longer than a decoder may be silent


def test_alarms_leave_and_cameras_are_watched_while_the_disk_hangs(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    subscriber, port = Subscriber(mosquitto.port), free_port()
    camera = TestCamera(tmp_path, recording())
    arguments = ["--mqtt", mosquitto.url, "--bundle", tiny_bundle, "--http", f"127.0.0.1:{port}"]
    arguments += ["--rtsp", f"door={camera.url}", "--threshold", "1"]

    def scores() -> int:
        return len([1 for topic, _, _ in subscriber.messages if topic == "mgfn/door/score"])

    with hanging_disk(tmp_path / "data") as disk, camera.running():
        with running(tmp_path, *arguments) as service:
            until(lambda: scores() > 10, what="scores")
            disk.hang()
            try:
                began, before = time.monotonic(), scores()
                subscriber.publish("mgfn/door/threshold/set", "0")
                until(lambda: subscriber.events(), 20, "the alarm")
                (new,) = subscriber.events()
                until(lambda: time.monotonic() - began > HANGS_FOR, HANGS_FOR + 5, "the disk hanging")
                health = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).json()
                assert health["loop_age"] < 5
                assert health["oldest_unwritten"] > HANGS_FOR - 5
                assert scores() - before > 0.5 * HANGS_FOR / 0.64
                assert [e["id"] for e in subscriber.events()] == [new["id"]] * len(subscriber.events())
            finally:
                disk.go_on()
            assert not service.said("decoder replaced")
            subscriber.publish("mgfn/door/threshold/set", "1")
            until(lambda: subscriber.events()[-1]["type"] == "media", what="its last message")
            assert service.stop() == 0
            with Store.read_only(tmp_path / "data") as store:
                (kept,) = store.events.since(0.0)
            assert min(kept.snapshot_bytes, kept.clip_bytes) > 0
        decided = next(line for line in lines(service.log) if line["event"] == "alarm new")["timestamp"]
        assert new["published_time"] - datetime.fromisoformat(decided).timestamp() < 2.0
    subscriber.close()


def test_a_clip_that_ends_while_the_disk_hangs_stops_no_camera(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    """FFmpeg writes the end of a clip, and its beginning again (faststart)."""
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, recording())
    arguments = ["--mqtt", mosquitto.url, "--bundle", tiny_bundle, "--http", "off"]
    arguments += ["--rtsp", f"door={camera.url}", "--threshold", "0"]

    def scores() -> int:
        return len([1 for topic, _, _ in subscriber.messages if topic == "mgfn/door/score"])

    with hanging_disk(tmp_path / "data") as disk, camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: scores() > 10 and list((tmp_path / "data" / "media").glob("*.mp4*")), what="a clip")
        disk.hang()
        try:
            began, before = time.monotonic(), scores()
            subscriber.publish("mgfn/door/threshold/set", "1")
            until(lambda: time.monotonic() - began > HANGS_FOR, HANGS_FOR + 5, "the disk hanging")
            assert scores() - before > 0.5 * HANGS_FOR / 0.64
        finally:
            disk.go_on()
        assert not service.said("decoder replaced")
        until(lambda: subscriber.events()[-1]["type"] == "media", what="its last message")
        assert service.stop() == 0
        with Store.read_only(tmp_path / "data") as store:
            (kept,) = store.events.since(0.0)
        assert kept.clip_bytes > 0
    subscriber.close()
