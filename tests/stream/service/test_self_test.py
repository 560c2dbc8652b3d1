"""The self-test's schedule and verdicts, told as a time line; the whole path is in the slow tier."""

from __future__ import annotations

import errno
import json
import multiprocessing
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
import pytest

from engine.manifest import Manifest
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.archive.clock import Clock
from stream.archive.store import Store
from stream.base.clock import SteadyClock
from stream.base.errors import StreamError, UsageError
from stream.service import self_test_camera
from stream.service.self_test import Result, SelfTest, Stage, cached_sample
from stream.service.self_test_camera import SelfTestCamera
from stream.settings.flags import self_test_every
from stream.watch.reaper import Reaper
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.rtsp import TestCamera, encode, moving_pictures, write_video
from tests.servers.service import lines, running

ALARM = AlarmSettings(0.4, 0.3)
SAMPLE = Path("bikes.mp4")
CLOCK = Clock(SteadyClock.by_the_wall())


def begun() -> SelfTest:
    test = SelfTest(86_400.0, 0.0, lambda: SAMPLE)
    assert not test.due(599.0, 1_599.0)
    assert test.due(601.0, 1_601.0)
    assert not test.due(602.0, 1_602.0)
    zone = ZoneInfo("Europe/Berlin")
    camera = test.camera("demo.mp4", ALARM, 605.0, zone)
    assert camera.is_self_test
    assert camera.schedule.zone is zone
    return test


def message(event: str, **changes: object) -> bytes:
    return json.dumps({"id": event, "test": True, "type": "new"} | changes).encode()


def test_it_passes_when_the_alarm_comes_back() -> None:
    test = begun()
    test.scored(2_000.0, 0)
    test.raised("a", 2_010.0)  # ordinary street life: not the incident
    assert not test.heard(message("a"), 2_011.0)
    test.raised("b", 2_026.0)
    for other in (message("c"), message("b", test=False), b"not json b", b'["b"]'):
        assert not test.heard(other, 2_027.0)
    assert test.heard(message("b"), 2_027.0)
    assert not test.running
    assert test.as_json(2_127.0, 0.0) == {
        "passed": True, "said": "passed", "time": 2_027.0, "last_pass": 2_027.0, "age": 100
    }  # fmt: skip
    assert not test.due(700.0, 2_200.0)
    assert test.due(601.0 + 86_400, 90_000.0)


def test_it_knows_its_beginning_where_the_first_clips_were_given_up() -> None:
    test = begun()
    test.scored(2_003.2, 5)
    test.scored(2_003.84, 6)
    test.raised("a", 2_010.0)  # not the incident
    test.raised("b", 2_026.0)
    assert test.heard(message("b"), 2_027.0)


def test_it_knows_its_beginning_where_its_decoder_was_replaced() -> None:
    test = begun()
    test.scored(2_000.0, 0)
    test.scored(2_010.0, 0)
    test.raised("a", 2_026.0)  # sixteen seconds into the second
    test.raised("b", 2_036.0)
    assert test.heard(message("b"), 2_037.0)


def test_it_says_how_far_it_came() -> None:
    for reach, said in ((0, Stage.STARTED), (1, Stage.SCORED), (2, Stage.RAISED)):
        test = begun()
        if reach >= 1:
            test.scored(2_000.0, 0)
        if reach >= 2:
            test.raised("b", 2_026.0)
        assert not test.overdue(679.0, 3_000.0)
        assert test.overdue(681.0, 3_000.0)
        assert test.as_json(3_000.0, 0.0) == {
            "passed": False, "said": said, "time": 3_000.0, "last_pass": None, "age": None
        }  # fmt: skip


def test_a_failure_keeps_the_age_of_the_last_pass() -> None:
    test = begun()
    test.scored(2_000.0, 0)
    test.raised("b", 2_026.0)
    test.heard(message("b"), 2_027.0)
    assert test.due(100_000.0, 100_000.0)
    assert test.overdue(101_000.0, 101_000.0)
    assert test.as_json(102_027.0, 0.0)["age"] == 100_000
    later = SelfTest(86_400.0, 0.0, lambda: SAMPLE)  # after a restart
    later.recall(test.memory())
    assert later.as_json(102_027.0, 0.0) == test.as_json(102_027.0, 0.0)
    assert later.due(601.0, 102_027.0)


def test_without_footage_nothing_is_fetched() -> None:
    test = SelfTest(100.0, 0.0, lambda: None)
    assert not test.due(101.0, 5.0)
    assert (test.result.passed, test.result.said) == (None, Stage.NO_FOOTAGE)


def test_without_room_for_its_camera_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.send("demo.mp4")

    def no_room(*_: object, **__: object) -> None:
        raise StreamError("shared memory: 12 MB for clips: No space left on device")

    monkeypatch.setattr(self_test_camera, "DecoderProcess", no_room)
    test = SelfTest(86_400.0, 0.0, lambda: SAMPLE)
    manifest = cast(
        Manifest, SimpleNamespace(thresholds=SimpleNamespace(on=0.8, off=0.6, min_duration=None), calibration=None)
    )
    rendering = cast(SpawnProcess, SimpleNamespace(kill=lambda: None))
    camera = SelfTestCamera(test, manifest, ModelName("b", "0", "x"), lambda *_: (rendering, ours), Reaper(), CLOCK)
    assert camera.arrives(601.0, 1_601.0) is None
    assert camera.leaves(700.0, 1_700.0) is None
    assert test.result == Result(False, 1_700.0, Stage.STARTED)
    theirs.close()


def test_without_room_for_its_process_the_cameras_go_on() -> None:
    def no_room(*_: object, **__: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    test = SelfTest(86_400.0, 0.0, lambda: SAMPLE)
    manifest = cast(
        Manifest, SimpleNamespace(thresholds=SimpleNamespace(on=0.8, off=0.6, min_duration=None), calibration=None)
    )
    camera = SelfTestCamera(test, manifest, ModelName("b", "0", "x"), no_room, Reaper(), CLOCK)
    assert camera.arrives(601.0, 1_601.0) is None
    assert camera.leaves(10_000.0, 11_000.0) is None
    assert test.result == Result(False, 11_000.0, Stage.RENDERING)


def test_the_time_between() -> None:
    assert self_test_every("off") is None
    assert self_test_every("24") == 86_400
    for wrong in ("", "x", "0", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match=r"--self-test .*: must be off or a number of hours"):
            self_test_every(wrong)


@pytest.mark.slow
def test_a_staged_incident_comes_back_from_the_broker(tmp_path: Path, mosquitto: Mosquitto) -> None:
    if cached_sample() is None:
        pytest.skip("needs the sample footage in the cache: make demo fetches it")
    subscriber, port = Subscriber(mosquitto.port), free_port()
    # five frames a second: the real backbone is there for the self-test
    camera = TestCamera(tmp_path, encode(moving_pictures(400 * 5), 5), fps=5)
    arguments = ["--rtsp", f"door={camera.url}", "--mqtt", mosquitto.url, "--http", f"127.0.0.1:{port}"]
    arguments += ["--self-test", "0.005", "--threshold", "1", "--scores", str(tmp_path / "s.jsonl")]
    with camera.running(), running(tmp_path, *arguments) as service:
        until(lambda: subscriber.last("mgfn/self_test"), 120, "the first word of the self-test")
        until(lambda: json.loads(subscriber.last("mgfn/self_test") or "{}")["passed"], 240, "the self-test's pass")
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert float(metrics.split("\nmgfn_self_test_age_seconds ")[1].split()[0]) < 60
        cameras = httpx.get(f"http://127.0.0.1:{port}/api/state").json()
        assert list(cameras["cameras"]) == ["door"]
        assert cameras["self_test"]["passed"] is True
        # a verdict on what is unknown camera is kept, and holds up nothing
        raised = next(e for e in subscriber.events() if e["camera"] == "self-test")
        address = f"http://127.0.0.1:{port}/api/events/{raised['id']}"
        until(lambda: service.said("alarm end") or service.said("test end"), 60, "the end of its alarm")
        assert httpx.post(f"{address}/verdict", json={"verdict": "true"}).status_code == 202
        until(lambda: httpx.get(address).json()["verdict"] == "true", what="the verdict")
        assert service.stop() == 0
    own = [e for e in subscriber.events() if e["camera"] == "self-test"]
    assert own[0]["type"] == "new"
    assert all(event["test"] for event in own)
    topics = {topic for topic, _, _ in subscriber.messages}
    assert [topic for topic in sorted(topics) if topic.startswith("mgfn/self-test/")] == []
    assert {line["camera"] for line in lines(tmp_path / "s.jsonl")} == {"door"}
    subscriber.close()


@pytest.mark.slow
def test_the_last_one_is_told_after_a_restart(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    test = begun()
    test.scored(2_000.0, 0)
    test.raised("b", 2_026.0)
    test.heard(message("b"), 2_027.0)
    with Store.open(tmp_path / "data") as store:
        store.settings.set("self-test", "self_test", test.memory())
    subscriber = Subscriber(mosquitto.port)
    video = write_video(tmp_path / "yard.mp4", moving_pictures(500))
    with running(tmp_path, "--rtsp", f"yard={video}", "--bundle", tiny_bundle, "--mqtt", mosquitto.url) as service:
        until(lambda: subscriber.last("mgfn/self_test"), 60, "the self-test of the last run")
        assert service.stop() == 0
    told = json.loads(subscriber.last("mgfn/self_test") or "{}")
    assert (told["passed"], told["last_pass"]) == (True, 2_027.0)
    subscriber.close()
