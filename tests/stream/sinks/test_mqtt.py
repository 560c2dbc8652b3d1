"""The MQTT sink against a real Mosquitto."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from stream.alarm.outbox import Waiting
from stream.base.addresses import BrokerAddress, parse_broker
from stream.base.ownership import SITE, Ownership
from stream.sinks import mqtt_client
from stream.sinks.broker_visit import BrokerVisit, NoBrokerError
from stream.sinks.mqtt_client import TlsFiles
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, free_port, until
from tests.servers.slow_link import SlowLink
from tests.stream.sinks.delivering import delivering, events


@pytest.mark.slow
def test_states_scores_and_events_reach_a_subscriber(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    with delivering(parse_broker(mosquitto.url)) as sink:
        sink.camera_status("door", "warming", available=True)
        sink.camera_anomaly("door", active=False)
        until(lambda: subscriber.last("mgfn/door/anomaly") == "OFF")
        sink.score("door", 0.5, 0.8, 1000.0, 7)
        sink.camera_anomaly("door", active=True)
        for payload in events(5):
            sink.event(Waiting(payload, time.time()))
        until(lambda: len(subscriber.events()) == 5)
        assert [e["type"] for e in subscriber.events()] == ["new", "update", "update", "update", "end"]
        assert [e["seq"] for e in subscriber.events()] == [0, 1, 2, 3, 4]
        assert not any(e["delayed"] for e in subscriber.events())
        until(lambda: subscriber.last("mgfn/door/score") is not None)
        assert subscriber.last("mgfn/door/score") == '{"score": 0.5, "threshold": 0.8, "time": 1000.0, "window": 7}'
        assert subscriber.last("mgfn/available") == "online"
        assert subscriber.last("mgfn/door/available") == "online"
    until(lambda: {subscriber.last(topic) for topic in ("mgfn/available", "mgfn/door/status")} == {"offline"})
    subscriber.close()
    late = Subscriber(mosquitto.port, "mgfn/door/#")
    until(lambda: late.last("mgfn/door/anomaly") is not None)
    assert all(retained for _, _, retained in late.messages)
    late.close()


class Shard(Ownership):
    """It owns a few cameras, and knows of all of them."""

    def __init__(self, worker: str, *owned: str) -> None:
        self.worker = worker
        self._owned = (*owned, f"@{worker}")

    def fence(self, name: str) -> int | None:
        return 1 if name in self._owned else None


@pytest.mark.slow
def test_shards_that_stop_together_leave_no_camera_online(mosquitto: Mosquitto) -> None:
    """Each speaks for its own cameras, and for no other, whoever stops first."""
    subscriber = Subscriber(mosquitto.port)
    address = parse_broker(mosquitto.url)
    with (
        delivering(address, ownership=Shard("a", "door", SITE)) as a,
        delivering(address, ownership=Shard("b", "yard")) as b,
    ):
        for sink in (a, b):
            for camera in ("door", "yard"):
                sink.camera_status(camera, "online", available=True)
        until(lambda: {subscriber.last(f"mgfn/{camera}/available") for camera in ("door", "yard")} == {"online"})
        since = len(subscriber.messages)
    topics = [f"mgfn/{name}" for name in ("available", "worker/a/available", "worker/b/available")]
    topics += [f"mgfn/{camera}/{word}" for camera in ("door", "yard") for word in ("available", "status")]
    until(lambda: {subscriber.last(topic) for topic in topics} == {"offline"})
    assert sorted(topic for topic, _, _ in subscriber.messages[since:]) == sorted(topics)
    subscriber.close()


@pytest.mark.slow
def test_nothing_is_lost_or_reordered_over_a_broker_restart(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    with delivering(parse_broker(mosquitto.url)) as sink:
        until(lambda: sink.connected)
        payloads = list(events(200))
        for payload in payloads[:60]:
            sink.event(Waiting(payload, time.time()))
        until(lambda: len(subscriber.events()) >= 20)
        mosquitto.stop()
        for payload in payloads[60:140]:
            sink.event(Waiting(payload, time.time()))
        until(lambda: not sink.connected)
        mosquitto.start()
        for payload in payloads[140:]:
            sink.event(Waiting(payload, time.time()))
        until(lambda: len({e["seq"] for e in subscriber.events()}) == 200)
        until(lambda: subscriber.last("mgfn/available") == "online")
    received = [e["seq"] for e in subscriber.events()]
    once = list(dict.fromkeys(received))
    assert once == list(range(200))
    assert len(received) <= 221  # our one under way, and the twenty that Mosquitto has under way to a subscriber
    subscriber.close()


@pytest.mark.slow
def test_what_is_under_way_when_the_connection_breaks_is_delivered_and_says_that_it_was_late(
    mosquitto: Mosquitto,
) -> None:
    subscriber = Subscriber(mosquitto.port)
    link = SlowLink(mosquitto.port, None)
    with link.running(), delivering(parse_broker(link.url)) as sink:
        payloads = list(events(4))
        sink.event(Waiting(payloads[0], time.time()))
        until(lambda: len(subscriber.events()) == 1)
        link.rate = 0.001  # nothing goes through any more, and nobody says so
        sink.event(Waiting(payloads[1], time.time() - 60.0))
        sink.camera_anomaly("door", active=True)
        until(lambda: sink._backlog._events._in_flight is not None, what="one of them being under way")
        for payload in payloads[2:]:
            sink.event(Waiting(payload, time.time()))
        link.cut()
        link.rate = None
        until(lambda: [e["seq"] for e in subscriber.events()] == [0, 1, 2, 3], what="the others")
        until(lambda: not sink.waiting, what="their acknowledgements")
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON")
        assert [e["delayed"] for e in subscriber.events()] == [False, True, False, False]
    subscriber.close()


@pytest.mark.slow
def test_a_broker_that_comes_later_and_a_full_queue(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with broker.running():
        subscriber = Subscriber(broker.port)  # from now on the broker keeps for it what it misses
        broker.stop()
    with delivering(parse_broker(broker.url), queue_limit=50) as sink:
        for payload in events(60):
            sink.event(Waiting(payload, time.time()))
        assert sink.waiting == 50
        assert sink.events_lost == 10
        with broker.running():
            until(lambda: sink.waiting == 0)
            # `new` and `end` are kept, the oldest updates went
            until(lambda: len(subscriber.events()) == 50)
            assert [e["seq"] for e in subscriber.events()] == [0, *range(11, 60)]
            subscriber.close()
            sink.stop()
            until(lambda: not sink.connected)


@pytest.mark.slow
def test_home_assistant_gets_one_score_in_ten_seconds(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port, "mgfn/+/score/#")
    with delivering(parse_broker(mosquitto.url)) as sink:
        until(lambda: sink.connected)
        for number in range(30):
            sink.score("door", number / 30, 0.8, 1000.0 + number, 32)
        sink.score("yard", 0.5, 0.8, 1000.0, 32)
        sink._slow_scores["door"] -= 10.0  # ten seconds later
        sink.score("door", 1.0, 0.8, 1030.0, 32)
        topics = ["mgfn/door/score"] * 31 + ["mgfn/door/score/slow"] * 2 + ["mgfn/yard/score", "mgfn/yard/score/slow"]
        until(lambda: sorted(topic for topic, _, _ in subscriber.messages) == topics, what="the scores")
    assert not any(retained for _, _, retained in subscriber.messages)
    subscriber.close()


WRITER = """
import sys, threading, time
from stream.sinks.mqtt import MqttSink
from stream.base.addresses import parse_broker
sink = MqttSink(parse_broker(sys.argv[1]), "mgfn", "test")
sink.camera_anomaly("door", active=True)
threading.Thread(target=sink.deliver, daemon=True).start()
time.sleep(60)
"""


@pytest.mark.slow
def test_last_will_after_kill_9(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    process = subprocess.Popen([sys.executable, "-c", WRITER, mosquitto.url], text=True)
    with ended(process):
        until(lambda: subscriber.last("mgfn/available") == "online")
        process.send_signal(signal.SIGKILL)
        until(lambda: subscriber.last("mgfn/available") == "offline")
    subscriber.close()


@pytest.mark.slow
def test_wrong_password_is_named_and_not_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(tmp_path, password="right").running() as broker:
        wrong = parse_broker(f"mqtt://mgfn:hunter2@127.0.0.1:{broker.port}")
        with pytest.raises(NoBrokerError, match=r"^wrong user or password$"):
            BrokerVisit(wrong, TlsFiles(), "test")
        with delivering(wrong):
            said = ""

            def named() -> bool:
                nonlocal said
                captured = capfd.readouterr()
                said += captured.out + captured.err
                return "wrong user or password" in said

            until(named)
            assert "hunter2" not in said
        right = parse_broker(f"mqtt://mgfn:right@127.0.0.1:{broker.port}")
        with BrokerVisit(right, TlsFiles(), "test") as visit:
            assert visit.version == "5"


def test_nobody_is_no_broker() -> None:
    with pytest.raises(NoBrokerError, match=r"cannot be reached \(Connection refused\)"):
        BrokerVisit(BrokerAddress("127.0.0.1", free_port(), tls=False), TlsFiles(), "test")


@pytest.mark.slow
def test_a_broker_that_retains_nothing_gets_events_and_states(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mosquitto(tmp_path, extra=("retain_available false",)).running() as broker:
        subscriber = Subscriber(broker.port)
        with delivering(parse_broker(broker.url)) as sink:
            sink.camera_status("door", "online", available=True)
            for message in events(3):
                sink.event(Waiting(message, time.time()))
            until(lambda: len(subscriber.events()) == 3, what="the events")
            until(lambda: subscriber.last("mgfn/door/status") == "online", what="the state")
        subscriber.close()
    assert "".join(capsys.readouterr()).count("broker retains no messages") == 1


def test_the_version_that_the_broker_does_not_take_is_given_up() -> None:
    dialect = mqtt_client.Dialect()
    five, three = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
    assert dialect.not_taken(named=False)  # the other one at once
    assert dialect.protocol is three
    assert not dialect.not_taken(named=False)
    assert (dialect.protocol, dialect.tried_both) == (five, True)
    dialect.not_taken(named=True)
    dialect.taken()
    assert dialect.protocol is three
    assert not dialect.not_taken(named=False)  # it is just starting
    assert dialect.protocol is three
