"""The MQTT sink against a real Mosquitto."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from stream.alarm.event import Event, EventMessage, ModelName, Moment
from stream.alarm.outbox import Waiting
from stream.base.addresses import BrokerAddress, parse_broker
from stream.base.errors import UsageError
from stream.sinks.mqtt import MqttSink
from stream.sinks.mqtt_client import TlsFiles, make_client, probe
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, free_port, until

MODEL = ModelName("default", "ab" * 32, "openvino")


def events(count: int) -> Iterator[EventMessage]:
    event = Event.begun("door", time.time(), (0.8, 0.6), MODEL)
    moment = Moment(0.9, 0.9, 32, time.time())
    yield event.new(moment)
    for _ in range(count - 2):
        yield event.update(moment)
    yield event.end(moment, time.time(), "score")


@contextmanager
def delivering(address: BrokerAddress, kind: type[MqttSink] = MqttSink, **more: Any) -> Iterator[MqttSink]:
    sink = kind(address, "mgfn", "test", **more)
    thread = threading.Thread(target=sink.deliver)
    thread.start()
    try:
        yield sink
    finally:
        sink.stop()
        thread.join(10)
        assert not thread.is_alive()


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


class _HearsLate(MqttSink):
    """For a moment the connection is gone and nobody has said so yet: here that moment lasts until it is back."""

    def _on_disconnect(self, *_: Any) -> None:
        pass


@pytest.mark.slow
def test_what_is_published_while_the_connection_breaks_is_delivered(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    with delivering(parse_broker(mosquitto.url), kind=_HearsLate) as sink:
        payloads = list(events(4))
        sink.event(Waiting(payloads[0], time.time()))
        until(lambda: len(subscriber.events()) == 1)
        mosquitto.stop()
        until(lambda: not sink._client.is_connected())
        for payload in payloads[1:]:
            sink.event(Waiting(payload, time.time()))
        sink.camera_anomaly("door", active=True)
        until(lambda: sink.waiting == 3 and sink._in_flight is not None, what="one of them being handed to paho")
        mosquitto.start()
        # the first may come twice: its receipt may not have reached the broker
        until(lambda: list(dict.fromkeys(e["seq"] for e in subscriber.events())) == [0, 1, 2, 3], what="the others")
        until(lambda: not sink.waiting, what="their acknowledgements")
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON")
    subscriber.close()


class _Unacknowledging:
    """A client whose connection breaks before the broker answers; `acknowledge` is the answer to all it was given."""

    def __init__(self) -> None:
        self.published: list[tuple[str, object]] = []
        self._infos: list[mqtt.MQTTMessageInfo] = []

    def publish(self, topic: str, payload: object, **_options: Any) -> mqtt.MQTTMessageInfo:
        self.published.append((topic, payload))
        self._infos.append(mqtt.MQTTMessageInfo(len(self._infos) + 1))
        return self._infos[-1]

    def acknowledge(self) -> None:
        for info in self._infos:
            info._set_as_published()


def test_the_last_word_on_a_topic_waits_for_the_one_before_it() -> None:
    sink, client = MqttSink(parse_broker("mqtt://127.0.0.1:9"), "mgfn", "test"), _Unacknowledging()
    sink._client = cast(Any, client)
    success = ReasonCode(PacketTypes.CONNACK, "Success")
    sink._on_connect(None, None, None, success, None)
    sink.camera_anomaly("door", active=True)
    assert sink._deliver_next()
    assert client.published == [("mgfn/available", "online"), ("mgfn/door/anomaly", "ON")]
    # the connection breaks and comes back; paho will send ON again, at any time from now on
    sink._on_disconnect(None, None, None, success, None)
    sink.camera_anomaly("door", active=False)
    sink._on_connect(None, None, None, success, None)
    assert not sink._may_send()
    client.acknowledge()
    assert sink._deliver_next()
    assert client.published[2:] == [("mgfn/available", "online"), ("mgfn/door/anomaly", "OFF")]


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
        assert probe(wrong, TlsFiles(), "test") == "wrong user or password"
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
        assert probe(right, TlsFiles(), "test") == ""


def test_probe_of_nobody() -> None:
    assert "cannot be reached" in probe(BrokerAddress("127.0.0.1", free_port(), tls=False), TlsFiles(), "test")


def test_certificates_are_looked_at_first(tmp_path: Path) -> None:
    plain, encrypted = BrokerAddress("h", 1883, tls=False), BrokerAddress("h", 8883, tls=True)
    with pytest.raises(UsageError, match=r"not encrypted; use mqtts://"):
        make_client(plain, TlsFiles(ca=tmp_path / "ca.pem"), "test")
    with pytest.raises(UsageError, match=r"x: not usable certificates: .*File name too long"):
        make_client(encrypted, TlsFiles(ca=tmp_path / ("x" * 300)), "test")
    with pytest.raises(UsageError, match=r"ca\.pem: no such certificate file"):
        make_client(encrypted, TlsFiles(ca=tmp_path / "ca.pem"), "test")
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="not usable certificates"):
        make_client(encrypted, TlsFiles(ca=tmp_path / "ca.pem"), "test")


@pytest.mark.slow
def test_a_picture_that_the_broker_refuses_blocks_no_event(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(tmp_path, extra=("max_packet_size 20000",)).running() as broker:
        subscriber = Subscriber(broker.port)
        with delivering(parse_broker(broker.url)) as sink:
            until(lambda: sink.connected)
            sink.camera_snapshot("yard", b"s" * 9_000)  # fits
            for _ in range(4):
                messages = list(events(3))
                sink.event(Waiting(messages[0], time.time()))
                sink.camera_snapshot("door", b"x" * 60_000)
                for message in messages[1:]:
                    sink.event(Waiting(message, time.time()))
            until(lambda: len({(e["id"], e["seq"]) for e in subscriber.events()}) == 12, 20)
            until(lambda: subscriber.latest.get("mgfn/yard/anomaly/snapshot") == b"s" * 9_000, 20)
            until(lambda: "mgfn/door/anomaly/snapshot" not in sink._states, 30)
            until(lambda: sink.connected, 20)
            sink.camera_status("door", "online", available=True)
            until(lambda: subscriber.last("mgfn/door/status") == "online", 20)
        subscriber.close()
    assert "".join(capfd.readouterr()).count("maximum packet size") == 1


@pytest.mark.slow
def test_an_event_made_before_the_clock_was_set_is_delivered(tmp_path: Path) -> None:
    """A machine without a clock starts in 1970 while the broker is away; then the clock is set."""
    broker = Mosquitto(tmp_path)
    with delivering(parse_broker(broker.url)) as sink:
        for message in events(3):
            sink.event(Waiting(message, time.time()))
        with broker.running():
            subscriber = Subscriber(broker.port)
            until(lambda: len(subscriber.events()) == 3, 20)
            assert [e["seq"] for e in subscriber.events()] == [0, 1, 2]
            assert sink.events_lost == 0
            subscriber.close()
