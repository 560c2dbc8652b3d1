"""The service on a machine whose clock is set while it runs: no evidence and no message is lost by it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream.archive.store import Store
from tests.built_once import recording
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera
from tests.servers.service import running
from tests.servers.wall_clock import WallClock

pytestmark = pytest.mark.slow

HOUR = 3_600


def test_a_machine_without_a_clock_starts_in_1970_with_the_broker_away(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker, camera = Mosquitto(tmp_path / "broker"), TestCamera(tmp_path, recording())
    clock, began = WallClock(tmp_path, ahead=60 - int(time.time())), time.time()
    arguments = ["--rtsp", f"door={camera.url}", "--mqtt", broker.url, "--bundle", tiny_bundle, "--http", "off"]
    with camera.running(), running(tmp_path, *arguments, "--threshold", "0", env=clock.for_child) as service:
        with_data = tmp_path / "data"
        until(lambda: service.said("camera online"), what="the camera")
        with Store.read_only(with_data) as store:
            until(lambda: [e for e in store.events.since(0.0) if e.snapshot_bytes], what="the alarm of 1970")
            event = store.events.since(0.0)[0].message
            assert event.start_time < 24 * HOUR
            clock.set(0)
            until(lambda: service.said("the wall clock was set"), what="the step")
            until(lambda: store.events.since(began - 10.0), what="the event with its corrected time")
            with broker.running():
                subscriber = Subscriber(broker.port)
                until(lambda: subscriber.last("mgfn/door/status") is not None, 90, "the broker being found")
                subscriber.publish("mgfn/door/threshold/set", "1")
                until(lambda: [e for e in subscriber.events() if e["type"] == "media"], what="the last message")
                told = {e["seq"]: e for e in subscriber.events() if e["id"] == event.id}
                assert list(told) == list(range(len(told)))
                assert [told[0]["type"], told[len(told) - 2]["type"]] == ["new", "end"]
                assert len({e["start_time"] for e in told.values()}) == 1
                assert began < told[0]["start_time"] < time.time()
                assert told[0]["start_time"] < told[len(told) - 2]["end_time"] < time.time()
                assert told[0]["local_time"][:4] == time.strftime("%Y")
                assert told[0]["published_time"] == pytest.approx(time.time(), abs=60.0)
                assert told[0]["delayed"] is (told[0]["latency_ms"] > 11_000)
                subscriber.publish("mgfn/door/threshold/set", "0")
                until(lambda: len({e["id"] for e in subscriber.events()}) == 2, what="a second alarm")
                clock.set(-2 * HOUR)
                until(lambda: service.log.read_text().count("the wall clock was set") == 2, what="the step back")
                subscriber.publish("mgfn/door/threshold/set", "1")
                until(lambda: subscriber.events()[-1]["type"] == "media", what="its last message")
                new, *_, end, _ = [e for e in subscriber.events() if e["id"] != event.id]
                assert (new["type"], end["type"]) == ("new", "end")
                assert new["start_time"] - end["start_time"] == pytest.approx(2 * HOUR, abs=1.0)
                assert 0 < end["end_time"] - end["start_time"] < 60.0
                subscriber.close()
            assert len(store.clocks.steps()) == 2
            assert len({file.suffix for file in (with_data / "media").iterdir()}) == 3
            kept = store.events.since(0.0)
            assert [e.clip_bytes > 0 for e in kept] == [True, True]
            assert service.stop() == 0
    # after a restart with the right clock all is still there, and the second event keeps what its subscribers know
    with running(tmp_path, *arguments, env=clock.for_child) as service:
        clock.set(0)
        until(lambda: service.log.read_text().count("the wall clock was set") >= 1, what="the step")
        with Store.read_only(with_data) as store:
            assert [e.clip_bytes > 0 for e in store.events.since(0.0)] == [True, True]
            until(lambda: len(store.clocks.steps()) == 3)
        assert service.stop() == 0
