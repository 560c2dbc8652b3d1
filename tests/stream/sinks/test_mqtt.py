"""The MQTT sink against a real Mosquitto."""

from __future__ import annotations

import gc
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from stream.alarm.event import Event, EventMessage, ModelName, Moment
from stream.alarm.outbox import Waiting
from stream.base.addresses import BrokerAddress, parse_broker
from stream.base.errors import UsageError
from stream.sinks import echo, mqtt_client
from stream.sinks.broker_visit import BrokerVisit, NoBrokerError
from stream.sinks.command_listener import CommandListener
from stream.sinks.echo import NOT_BACK, Proof
from stream.sinks.mqtt import MqttSink
from stream.sinks.mqtt_client import TlsFiles, make_client
from stream.sinks.mqtt_connection import Connection
from tests.servers.certificates import Authority
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, free_port, until
from tests.servers.slow_link import SlowLink
from tests.stream.sinks.test_image_queue import jpeg

MODEL = ModelName("default", "ab" * 32, "openvino")
FORBIDDEN = "the broker's access rules forbid it"


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


class BackAtOnce:
    """A connection whose messages are back before `publish_fleeting` returns."""

    def __init__(self, sink: MqttSink, *, sends: bool) -> None:
        self._sink, self._sends = sink, sends

    def publish_fleeting(self, topic: str, _payload: str) -> bool:
        if self._sends:
            self._sink.echo.received(topic, "")
        return self._sends


@pytest.mark.parametrize(("sends", "proof"), [(True, Proof.PROVEN), (False, Proof.WAITING)])
def test_a_message_that_is_back_at_once_or_was_not_sent_has_not_failed(sends: bool, proof: Proof) -> None:
    sink = MqttSink(BrokerAddress("127.0.0.1", free_port(), tls=False), "mgfn", "test")
    sink.echo.listening(0.0)
    sink._link._connection = cast(Connection, BackAtOnce(sink, sends=sends))
    sink.stats({"time": 1.0})
    assert sink.echo.changes(time.monotonic() + 2 * echo.PATIENCE) == []
    assert sink.echo.proof() is proof


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a failed socket to the GC
def test_trouble_with_tls_has_a_reason_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    command: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-keyout", key, "-out", certificate]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    ca.write_bytes(certificate.read_bytes())
    lines = (f"certfile {certificate}", f"keyfile {key}")
    required = (*lines, f"cafile {certificate}", "require_certificate true")

    def reason(broker: Mosquitto, files: TlsFiles, *, tls: bool) -> str:
        with pytest.raises(NoBrokerError) as caught:
            BrokerVisit(BrokerAddress("127.0.0.1", broker.port, tls=tls), files, "test")
        return str(caught.value)

    said = ""

    def told(text: str) -> bool:
        nonlocal said
        said += "".join(capsys.readouterr())
        return text in said

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Mosquitto(tmp_path / "a", extra=required).running() as strict:
        assert "may require a client certificate" in reason(strict, TlsFiles(ca=ca), tls=True)
    with Mosquitto(tmp_path / "b", extra=lines).running() as broker:
        assert "self-signed certificate" in reason(broker, TlsFiles(), tls=True)
        assert "if it expects TLS, use mqtts://" in reason(broker, TlsFiles(), tls=False)
        address = BrokerAddress("127.0.0.1", broker.port, tls=True)
        with delivering(address, tls=TlsFiles(ca=ca)) as sink:
            until(lambda: sink.connected, what="the connection")
            ca.unlink()  # it is renewed while the broker restarts
            broker.kill()
            until(lambda: told("no such certificate file"), what="the reason")
            broker.start()
            ca.write_bytes(certificate.read_bytes())
            until(lambda: sink.connected, what="the connection after the renewal")
        assert said.count("no such certificate file") == 1
    gc.collect()  # paho leaves the socket of a failed handshake; it must not warn in another test


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a failed socket to the GC
def test_only_the_brokers_own_certificate_and_a_client_certificate_of_ours_connect(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    ours_client, others_client = ours.issue("client"), others.issue("client")
    for name, (certificate, key), ca, client, refusal in (
        ("right", ours.issue("right"), ours.ca, ours_client, ""),
        ("ca", ours.issue("ca"), others.ca, ours_client, "certificate"),
        ("host", ours.issue("host", "DNS:broker.example"), ours.ca, ours_client, "IP address mismatch"),
        ("expired", ours.issue("expired", expired=True), ours.ca, ours_client, "certificate has expired"),
        ("client", ours.issue("broker"), ours.ca, others_client, "client certificate"),
    ):
        (tmp_path / name).mkdir()
        lines = (f"certfile {certificate}", f"keyfile {key}", f"cafile {ours.ca}", "require_certificate true")
        with Mosquitto(tmp_path / name, extra=lines).running() as broker:
            address = BrokerAddress("127.0.0.1", broker.port, tls=True, user="mgfn", password="hunter2")
            files = TlsFiles(ca, *client)
            if not refusal:
                with BrokerVisit(address, files, "test"):
                    continue
            with pytest.raises(NoBrokerError) as caught:
                BrokerVisit(address, files, "test")
            assert refusal in str(caught.value), name
            assert "hunter2" not in str(caught.value)
    gc.collect()  # paho leaves the socket of a failed handshake; it must not warn in another test


@pytest.mark.slow
@pytest.mark.parametrize("speaks", ["5", "3.1.1"])
def test_a_picture_that_the_broker_refuses_blocks_no_event(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, speaks: str
) -> None:
    """MQTT 5 names the limit; 3.1.1 just drops the connection."""
    picture = jpeg(60_000)
    if speaks == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    with Mosquitto(tmp_path, extra=("max_packet_size 20000",)).running() as broker:
        subscriber = Subscriber(broker.port)
        with delivering(parse_broker(broker.url)) as sink:
            until(lambda: sink.connected)
            for _ in range(4):
                messages = list(events(3))
                sink.event(Waiting(messages[0], time.time()))
                sink.camera_snapshot("door", picture)
                for message in messages[1:]:
                    sink.event(Waiting(message, time.time()))
            until(lambda: len({(e["id"], e["seq"]) for e in subscriber.events()}) == 12, 20)

            def shown() -> int:
                return len(subscriber.latest.get("mgfn/door/anomaly/snapshot", b""))

            until(lambda: 8_192 < shown() < 20_000, 60, "the picture, smaller")
            until(lambda: sink.connected, 20)
            sink.camera_status("door", "online", available=True)
            until(lambda: subscriber.last("mgfn/door/status") == "online", 20)
        subscriber.close()
    said = "".join(capfd.readouterr())
    assert said.count("maximum packet size") == 1
    assert ("limit=20000" in re.sub(r'"limit": ', "limit=", said)) is (speaks == "5")


def old_dialect(self: mqtt_client.Dialect) -> None:
    self.protocol = MQTTProtocolVersion.MQTTv311
    self.tried_both = self._known = False


@pytest.mark.slow
@pytest.mark.parametrize("speaks", ["5", "3.1.1"])
def test_a_state_that_the_broker_drops_the_connection_for_holds_up_nothing(
    small_packets: Mosquitto,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    speaks: str,
) -> None:
    """Discovery messages are larger than this broker takes; a broker may also drop us for a topic."""
    if speaks == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    subscriber = Subscriber(small_packets.port)
    with delivering(parse_broker(small_packets.url)) as sink:
        sink.announce("homeassistant/device/a/config", {"name": "x" * 2_000})
        for camera in ("door", "yard"):
            sink.camera_status(camera, "online", available=True)
        for message in events(5):
            sink.event(Waiting(message, time.time()))
        until(lambda: len(subscriber.events()) >= 5, 60, "the events")
        until(lambda: subscriber.last("mgfn/yard/status") == "online", 60, "the states")
        sink.camera_anomaly("door", active=True)
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON", 60, "a state that comes later")
        until(lambda: sink._backlog.finished(connected=True) or sink._backlog._states.settled, what="all being said")
        until(lambda: sink.connected)
        assert sink.echo.failed() == {}
    said = "".join(capfd.readouterr())
    assert "homeassistant/device/a/config" in said
    subscriber.close()


@pytest.mark.slow
@pytest.mark.parametrize("speaks", ["5", "3.1.1"])
def test_an_event_that_the_broker_does_not_take_holds_up_no_other_camera(
    small_packets: Mosquitto, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], speaks: str
) -> None:
    if speaks == "3.1.1":
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
    subscriber, now = Subscriber(small_packets.port), time.time()
    large = Event.begun("door", now, (0.8, 0.6), ModelName("x" * 1_500, "ab" * 32, "openvino"))
    others = [Event.begun(camera, now, (0.8, 0.6), MODEL) for camera in ("yard", "hall")]
    with delivering(parse_broker(small_packets.url)) as sink:
        until(lambda: sink.connected)
        for event in (large, *others):
            sink.event(Waiting(event.new(Moment(0.9, 0.9, 32, now)), now))
        until(lambda: {e["camera"] for e in subscriber.events()} == {"yard", "hall"}, 60, "the others' events")
        until(lambda: sink.waiting == (0 if speaks == "5" else 1), what="the acknowledgements")
        if speaks == "5":  # the broker has named its limit: it will never take it
            assert sink.events_lost == 1
            assert "larger than the 1500 bytes" in sink.echo.failed().get("mgfn/events", "") + said(capfd)
        else:  # it may be for another reason: it is kept
            assert sink.events_lost == 0
            until(lambda: "message skipped" in said(capfd), what="its being said")
    subscriber.close()


def said(capfd: pytest.CaptureFixture[str]) -> str:
    return "".join(capfd.readouterr())


@pytest.fixture
def small_packets(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, extra=("max_packet_size 1500",)).running() as broker:
        yield broker


@pytest.mark.slow
def test_over_a_slow_line_that_is_cut_an_alarm_waits_for_no_more_than_one_picture(mosquitto: Mosquitto) -> None:
    """An uplink of 12 KB/s and three retained pictures of 100 KB, on a connection that is cut once."""
    picture = jpeg(100_000)
    subscriber, link = Subscriber(mosquitto.port), SlowLink(mosquitto.port, 12_000)
    waits: list[float] = []

    def shown() -> int:
        return len([t for t in subscriber.latest if t.endswith("/snapshot")])

    def alarm() -> None:
        message = next(events(2))
        said = time.monotonic()
        sink.event(Waiting(message, time.time()))
        until(lambda: message.id in {e["id"] for e in subscriber.events()}, 30, "the alarm")
        waits.append(time.monotonic() - said)

    with link.running(), delivering(parse_broker(link.url)) as sink:
        until(lambda: sink.connected)
        for camera in ("door", "yard", "hall"):
            sink.camera_snapshot(camera, picture)
        until(lambda: sink._backlog._images._in_transit is not None, what="an image under way")
        alarm()
        until(lambda: shown() == 1, 30, "the first picture")
        alarm()
        link.cut()
        alarm()
        until(lambda: shown() == 3, 60, "all pictures")
        before = link.sent
        for camera in ("door", "yard", "hall"):
            sink.camera_snapshot(camera, picture[:-2] + b"\xff\xd9")
        until(lambda: link.sent > before + 2_000, what="an image on the wire")
        alarm()
        assert all(len(p) <= 30_000 for t, p in subscriber.latest.items() if t.endswith("/snapshot"))
        assert any(len(p) > 8_192 for t, p in subscriber.latest.items() if t.endswith("/snapshot"))
        # two seconds on the wire, and a second until a cut connection is opened again
        assert max(waits) < 4.0, waits
        assert max(waits[:2] + waits[3:]) < 3.0, waits
        link.rate = None
    subscriber.close()


@pytest.mark.slow
def test_scores_are_left_out_where_the_line_is_full(mosquitto: Mosquitto) -> None:
    subscriber, link = Subscriber(mosquitto.port), SlowLink(mosquitto.port, 2_000)
    with link.running(), delivering(parse_broker(link.url)) as sink:
        until(lambda: sink.connected)
        until(lambda: subscriber.last("mgfn/available") == "online")
        for number in range(2_000):  # 150 KB at once
            sink.score("door", number / 2_000, 0.8, 1000.0 + number, 32)
        message, said = next(events(2)), time.monotonic()
        sink.event(Waiting(message, time.time()))
        until(lambda: subscriber.events(), 60, "the alarm")
        assert time.monotonic() - said < 15.0
        link.rate = None
    subscriber.close()


@pytest.mark.slow
def test_a_topic_that_the_broker_drops_is_named_and_the_rest_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ACL that forgets `events`: MQTT 5 says so and nothing is lost; 3.1.1 acknowledges and drops."""
    acl, said = tmp_path / "acl", ""
    acl.write_text("topic readwrite mgfn/+/anomaly\ntopic readwrite mgfn/available\n")

    def told() -> int:
        nonlocal said
        said += "".join(capfd.readouterr())
        return said.count("messages do not reach subscribers")

    with Mosquitto(tmp_path, extra=(f"acl_file {acl}",)).running() as broker:
        with heard(parse_broker(broker.url)) as sink:
            sink.camera_anomaly("door", active=True)
            sink.event(Waiting(next(events(2)), time.time()))
            until(lambda: sink.echo.failed() == {"mgfn/events": FORBIDDEN}, what="the refusal")
            until(lambda: told() == 1, what="its being said")
            assert sink.waiting == 1  # it is kept, and tried again
        monkeypatch.setattr(mqtt_client.Dialect, "__init__", old_dialect)
        with heard(parse_broker(broker.url)) as sink:
            sink.camera_anomaly("door", active=True)
            until(lambda: sink.echo.proof() is Proof.PROVEN)
            sink.event(Waiting(next(events(2)), time.time()))
            until(lambda: sink.echo.failed() == {"mgfn/events": NOT_BACK}, 30, "the silence")
            until(lambda: told() == 2, what="its being said")
            assert sink.waiting == 0
    assert said.count("mgfn/events") == 2


@pytest.mark.slow
def test_an_account_that_may_only_publish_is_unproven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic write mgfn/#\n")
    monkeypatch.setattr(echo, "PATIENCE", 1.0)
    with Mosquitto(tmp_path, extra=(f"acl_file {acl}",)).running() as broker:
        for dialect in (None, old_dialect):
            if dialect is not None:
                monkeypatch.setattr(mqtt_client.Dialect, "__init__", dialect)
            with heard(parse_broker(broker.url)) as sink:
                sink.camera_anomaly("door", active=True)
                sink.event(Waiting(next(events(2)), time.time()))
                until(lambda: sink.echo.proof() is Proof.UNPROVEN, what="no proof")
                assert sink.echo.failed() == {}
                assert sink.waiting == 0


@contextmanager
def heard(address: BrokerAddress) -> Iterator[MqttSink]:
    """A sink with its listener."""
    with delivering(address) as sink:
        listener = CommandListener(
            address, "mgfn", "test", TlsFiles(), ["door"], lambda: None, sink.echo, lambda _payload: None
        )
        sink.when_open(listener.start)
        until(lambda: sink.echo._listening, what="the listener")
        yield sink
        listener.stop()


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
