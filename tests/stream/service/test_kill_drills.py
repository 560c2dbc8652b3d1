"""Two hundred events of the real program, which is killed meanwhile, as is the broker: nobody misses one."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream.archive.store import Store
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.service import Running, running

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

    def alarming(self) -> bool:
        return any(self.subscriber.last(f"mgfn/{camera}/anomaly") == "ON" for camera in CAMERAS)

    def told(self, kept: dict[str, dict[str, Any]]) -> bool:
        """Whether the last message of each of these events was received."""
        said = {(e["id"], e["seq"]) for e in self.subscriber.events()}
        return all((event_id, event["seq"]) in said for event_id, event in kept.items())

    def go_on(self, begun: int, also: Callable[[], object] = lambda: True) -> None:
        """Ask for tests until so many have begun, and more if need be.

        A camera that has one open ignores it; so does a dead program.
        """

        def enough() -> bool:
            if time.monotonic() >= self._next_ask:
                self._next_ask = time.monotonic() + _ASK_EVERY
                for camera in CAMERAS:
                    self.subscriber._client.publish(f"mgfn/{camera}/test/set", "", qos=0)
            return len(self.ids("new")) >= begun and bool(also())

        until(enough, PATIENCE, f"{begun} events")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: what Mosquitto writes at every change outlives a kill there, too, and waits for no disk."""
    shared = Path("/dev/shm")  # noqa: S108 -- a folder of our own in it
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def test_two_hundred_events_over_kills_of_the_program_and_of_the_broker(
    tmp_path: Path, tiny_bundle: Path, memory: Path
) -> None:
    broker = Mosquitto(memory, durable=True)
    nobody = free_port()  # a test event needs no picture
    site = tmp_path / "site.yaml"
    site.write_text(
        f"mqtt: {{url: {broker.url}}}\nbundle: {tiny_bundle}\nhttp: {{address: off}}\ndefaults: {{lost_after: 3600}}\n"
        "cameras:\n" + "".join(f"  {camera}: {{url: 'rtsp://127.0.0.1:{nobody}/{camera}'}}\n" for camera in CAMERAS)
    )
    arguments = ["--config", site]

    def kill(service: Running) -> None:
        service.process.kill()
        service.process.wait(10)

    with broker.running():
        drill = Drill(broker.port)
        with running(tmp_path, *arguments) as first:
            drill.go_on(begun=40, also=drill.alarming)
            kill(first)  # with events open and messages under way
        until(lambda: drill.subscriber.last("mgfn/available") == "offline", what="the last will")
        with running(tmp_path, *arguments) as second:
            drill.go_on(begun=80, also=drill.alarming)
            broker.kill()
            with Store.read_only(tmp_path / "data") as store:
                until(store.events.waiting, what="events waiting for the broker")
            broker.start()
            drill.go_on(begun=120)
            broker.kill()
            until(lambda: second.log.read_text().count("broker connection lost") == 2)
            kill(second)  # and with the broker away
            broker.start()
        with running(tmp_path, *arguments) as third:
            drill.go_on(begun=EVENTS)
            until(lambda: drill.ids("end") == drill.ids("new"), what="the last ends")
            with Store.read_only(tmp_path / "data") as store:
                until(lambda: not store.events.waiting(), what="an empty outbox")
            assert third.stop() == 0
        with Store.read_only(tmp_path / "data") as store:
            assert not store.events.waiting()
            kept = {e.message.id: e.message.as_json() for e in store.events.since(0.0)}
        until(lambda: drill.told(kept), what="the last messages")
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
    times = Counter((e["id"], e["seq"]) for e in events)
    assert max(times.values()) <= 5
    # again comes what was under way at a kill or a start: one of ours, twenty of Mosquitto's to its subscriber
    assert len(events) - len(times) <= 5 * 21
