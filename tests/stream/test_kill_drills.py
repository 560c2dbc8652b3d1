"""Two hundred events of the real program, which is killed meanwhile, as is the broker: nobody misses one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream.store import Store
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.stream.test_service import Running, running

pytestmark = pytest.mark.slow

CAMERAS = [f"cam{number}" for number in range(12)]
EVENTS = 200
PATIENCE = 240.0
_ASK_EVERY = 1.0


class Drill:
    """Keeps a test event going on every camera by MQTT commands, and counts what comes back."""

    def __init__(self, port: int) -> None:
        self.subscriber = Subscriber(port)
        self._next_ask = 0.0

    def ids(self, kind: str) -> set[str]:
        return {e["id"] for e in self.subscriber.events() if e["test"] and e["type"] == kind}

    def go_on(self, begun: int) -> None:
        """Ask for tests until so many have begun. A camera that has one open ignores it; so does a dead program."""

        def enough() -> bool:
            if time.monotonic() >= self._next_ask:
                self._next_ask = time.monotonic() + _ASK_EVERY
                for camera in CAMERAS:
                    self.subscriber._client.publish(f"mgfn/{camera}/test/set", "", qos=0)
            return len(self.ids("new")) >= begun

        until(enough, PATIENCE, f"{begun} events")


def test_two_hundred_events_over_kills_of_the_program_and_of_the_broker(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "mosquitto").mkdir()
    broker = Mosquitto(tmp_path / "mosquitto", durable=True)
    nobody = free_port()  # a test event needs no picture
    arguments = ["--mqtt", broker.url, "--bundle", tiny_bundle, "--http", "off"]
    for camera in CAMERAS:
        arguments += ["--rtsp", f"{camera}=rtsp://127.0.0.1:{nobody}/{camera}"]

    def kill(service: Running) -> None:
        service.process.kill()
        service.process.wait(10)

    with broker.running():
        drill = Drill(broker.port)
        with running(tmp_path, *arguments) as first:
            drill.go_on(begun=40)
            kill(first)  # with events open and messages under way
        until(lambda: drill.subscriber.last("mgfn/available") == "offline", what="the last will")
        assert any(drill.subscriber.last(f"mgfn/{camera}/anomaly") == "ON" for camera in CAMERAS)
        with running(tmp_path, *arguments) as second:
            drill.go_on(begun=80)
            broker.kill()
            with Store.read_only(tmp_path / "data") as store:
                until(lambda: len(store.waiting()) >= len(CAMERAS), what="events waiting for the broker")
            broker.start()
            drill.go_on(begun=120)
            broker.kill()
            until(lambda: second.said("lost the broker"))
            kill(second)  # and with the broker away
            broker.start()
        with running(tmp_path, *arguments) as third:
            drill.go_on(begun=EVENTS)
            assert third.stop() == 0
        with Store.read_only(tmp_path / "data") as store:
            kept = {event["id"]: event for event in store.events(0.0)}
            until(lambda: not store.waiting(), what="an empty outbox")
        until(lambda: {e["id"] for e in drill.subscriber.events()} >= kept.keys(), what="the last events")
        drill.subscriber.close()
        late = Subscriber(broker.port, "mgfn/+/anomaly")
        until(lambda: len(late.latest) == len(CAMERAS), what="the retained states")
        assert set(late.latest.values()) == {b"OFF"}
        late.close()

    events = drill.subscriber.events()
    assert {e["id"] for e in events} == kept.keys()
    assert len(drill.ids("new")) >= EVENTS
    assert drill.ids("end") == drill.ids("new")
    for camera in CAMERAS:
        mine = [e for e in events if e["camera"] == camera]
        once = list(dict.fromkeys((e["id"], e["seq"]) for e in mine))
        begun = list(dict.fromkeys(e["id"] for e in mine if e["type"] == "new"))
        assert begun == sorted(begun, key=lambda event_id: kept[event_id]["start_time"])
        for event_id in begun:
            seqs = [seq for each, seq in once if each == event_id]
            assert seqs == list(range(len(seqs)))
            assert len(seqs) == kept[event_id]["seq"] + 1
    reasons = {e["end_reason"] for e in events if e["type"] == "end" and e["test"]}
    assert "restart" in reasons
    doubles = len(events) - len({(e["id"], e["seq"]) for e in events})
    assert doubles <= 5  # one for each kill of the broker or of the program at most, and one for each start
