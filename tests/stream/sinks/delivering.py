"""A running MQTT sink, with or without its listener, and events for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.enums import MQTTProtocolVersion

from stream.alarm.event import Event, EventMessage, ModelName, Moment
from stream.base.addresses import BrokerAddress
from stream.sinks import mqtt_client
from stream.sinks.command_listener import CommandListener
from stream.sinks.mqtt import MqttSink
from stream.sinks.mqtt_client import TlsFiles
from tests.servers.processes import until

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
def delivering(
    address: BrokerAddress,
    kind: type[MqttSink] = MqttSink,
    first: Callable[[MqttSink], None] = lambda _sink: None,
    **more: Any,
) -> Iterator[MqttSink]:
    """`first` is done to the sink before it connects."""
    sink = kind(address, "mgfn", "test", **more)
    first(sink)
    thread = threading.Thread(target=sink.deliver)
    thread.start()
    try:
        yield sink
    finally:
        sink.stop()
        thread.join(10)
        assert not thread.is_alive()


def old_dialect(self: mqtt_client.Dialect) -> None:
    self.protocol = MQTTProtocolVersion.MQTTv311
    self.tried_both = self._known = False


@contextmanager
def heard(address: BrokerAddress) -> Iterator[MqttSink]:
    """A sink with its listener."""
    listeners = []

    def listens(sink: MqttSink) -> None:
        listener = CommandListener(
            address, "mgfn", "test", TlsFiles(), ["door"], lambda: None, sink.echo, lambda _payload: None
        )
        sink.when_open(listener.start)
        listeners.append(listener)

    with delivering(address, first=listens) as sink:
        until(lambda: sink.echo._listening, what="the listener")
        yield sink
        for listener in listeners:
            listener.stop()
