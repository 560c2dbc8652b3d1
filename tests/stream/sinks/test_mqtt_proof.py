"""Whether messages that a broker acknowledges reach subscribers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import pytest

from stream.alarm.outbox import Waiting
from stream.base.addresses import BrokerAddress, parse_broker
from stream.sinks import echo, mqtt_client
from stream.sinks.echo import NOT_BACK, Proof
from stream.sinks.mqtt import MqttSink
from stream.sinks.mqtt_connection import Connection
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port, until
from tests.stream.sinks.delivering import FORBIDDEN, events, heard, old_dialect


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
