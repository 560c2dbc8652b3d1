"""What amqtt 0.12.1 does wrong, against the real embedded broker, with real clients."""

from __future__ import annotations

import gc
import itertools
import shutil
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import paho.mqtt.publish
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from stream.base.addresses import BrokerAddress
from stream.sinks.embedded_broker import HOST
from stream.sinks.mqtt import MqttSink
from tests.servers.embedded import embedded_broker
from tests.servers.mosquitto import Subscriber
from tests.servers.processes import until

pytestmark = pytest.mark.slow
RETAINED = {f"kept/{number}": str(number) for number in range(20)}
DISCONNECT = b"\xe0\0"
BUSY = b"\x82\x0b\0\1\0\6kept/#\1"  # a subscription that keeps the broker waiting for acknowledgements


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a broker that retains messages for a client that is connected all the time."""
    with embedded_broker() as number:
        paho.mqtt.publish.multiple([(*kept, 1, True) for kept in RETAINED.items()], hostname=HOST, port=number)
        listener = Subscriber(number, "kept/#")  # amqtt sends its retained messages to everybody who connects
        yield number
        listener.close()
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()  # paho's clients are in cycles, and the collector may meet their sockets first


def string(text: str) -> bytes:
    return len(text).to_bytes(2) + text.encode()


def packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


def connect(client_id: str, will_topic: str, *, clean: bool = True) -> bytes:
    flags, keepalive = b"\x06" if clean else b"\x04", b"\0\x3c"  # with a will
    return packet(0x10, b"\0\4MQTT\4" + flags + keepalive + string(client_id) + string(will_topic) + string("died"))


def send_and_leave(port: int, packets: bytes) -> bool:
    """Send all at once and end the connection, as the quickest client could. It acknowledges nothing.

    Returns whether the broker knew the session.
    """
    with socket.create_connection((HOST, port), 10) as client:
        client.sendall(packets)
        answer = client.recv(4, socket.MSG_WAITALL)
        assert answer in {b"\x20\2\0\0", b"\x20\2\1\0"}
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    return answer[2] == 1


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_commands_of_mosquitto_pub_arrive(port: int, qos: int) -> None:
    if (program := shutil.which("mosquitto_pub")) is None:
        pytest.skip("needs mosquitto_pub: apt-get install mosquitto-clients")
    subscriber = Subscriber(port, f"commands/{qos}")
    sent = [str(number) for number in range(10)]
    for text in sent:
        command = [program, "-h", HOST, "-p", str(port), "-t", f"commands/{qos}", "-q", str(qos), "-m", text]
        subprocess.run(command, check=True, timeout=20)
    subscriber.publish(f"commands/{qos}", "end")
    until(lambda: subscriber.last(f"commands/{qos}") == "end", 10)
    assert [payload for _, payload, _ in subscriber.messages] == [*sent, "end"]
    subscriber.close()


def test_what_was_sent_before_the_end_of_a_connection_arrives_in_order(port: int) -> None:
    subscriber = Subscriber(port, "burst/#")
    sent = [("burst/topic", str(number), False) for number in range(50)]
    published = b"".join(packet(0x30, string(topic) + text.encode()) for topic, text, _ in sent)
    send_and_leave(port, connect("burst", "burst/will") + BUSY + published + DISCONNECT)
    until(lambda: len(subscriber.messages) == len(sent), 10)
    subscriber.publish("burst/end", "")
    until(lambda: subscriber.last("burst/end") == "", 10)
    assert subscriber.messages == [*sent, ("burst/end", "", False)]  # no last will
    subscriber.close()


def test_a_client_that_dies_leaves_its_last_messages_and_then_its_will(port: int) -> None:
    subscriber = Subscriber(port, "dies/#")
    published = [packet(0x30, string("dies/topic") + str(number).encode()) for number in range(50)]
    send_and_leave(port, connect("dies", "dies/will") + BUSY + b"".join(published))
    until(lambda: subscriber.last("dies/will") == "died", 10)
    assert [payload for _, payload, _ in subscriber.messages] == [*map(str, range(50)), "died"]
    subscriber.close()


def test_retained_messages_are_sent_for_matching_subscriptions_only(port: int) -> None:
    everything = Subscriber(port, "kept/+")
    until(lambda: len(everything.messages) == len(RETAINED), 10)
    elsewhere, one = Subscriber(port, "nosuch/topic"), Subscriber(port, "kept/7")
    for subscriber, topic in ((everything, "kept/new"), (elsewhere, "nosuch/topic"), (one, "kept/7")):
        subscriber.publish(topic, "end")
    for subscriber, topic in ((everything, "kept/7"), (elsewhere, "nosuch/topic"), (one, "kept/7")):
        until(lambda subscriber=subscriber, topic=topic: subscriber.last(topic) == "end", 10)  # type: ignore[misc]
    assert {topic: text for topic, text, retained in everything.messages if retained} == RETAINED
    assert len(everything.messages) == len(RETAINED) + 2
    assert elsewhere.messages == [("nosuch/topic", "end", False)]
    assert one.messages == [("kept/7", "7", True), ("kept/7", "end", False)]
    for subscriber in (everything, elsewhere, one):
        subscriber.close()


def test_a_persistent_session_gets_no_retained_messages_when_it_reconnects(port: int) -> None:
    got: list[tuple[str, bool]] = []
    subscribed, connected = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="persistent", clean_session=False)
    client.on_message = lambda _c, _d, message: got.append((message.topic, message.retain))
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda *_: connected.set()
    client.connect(HOST, port)
    client.loop_start()
    client.subscribe("kept/3")
    assert subscribed.wait(10)
    until(lambda: got == [("kept/3", True)], 10)
    connected.clear()
    client.reconnect()
    assert connected.wait(10)
    subscribed.clear()
    client.subscribe("kept/4")
    assert subscribed.wait(10)
    until(lambda: ("kept/4", True) in got, 10)
    assert got == [("kept/3", True), ("kept/4", True)]
    client.disconnect()
    client.loop_stop()


def test_a_client_that_dies_while_the_broker_waits_for_its_old_message_leaves_its_will(port: int) -> None:
    subscriber = Subscriber(port, "again/#")
    attempts = itertools.count()
    wills = []

    def meets_its_session() -> bool:
        name = f"again-{next(attempts)}"
        wills.append(f"again/{name}")
        connection = connect(name, wills[-1], clean=False)
        incomplete = packet(0x34, string("again/topic") + b"\0\1text")  # QoS 2
        return not send_and_leave(port, connection + incomplete + DISCONNECT) and send_and_leave(port, connection)

    # the broker forgets sessions once a second, perhaps between the two connections of an attempt
    until(meets_its_session, 10)
    until(lambda: subscriber.last(wills[-1]) == "died", 10)
    subscriber.close()


def test_our_own_connection_is_open_at_once(port: int) -> None:
    sink = MqttSink(BrokerAddress(HOST, port, tls=False), "mgfn", "node")
    thread = threading.Thread(target=sink.deliver)
    began = time.monotonic()
    thread.start()
    try:
        until(lambda: sink.connected)
        assert time.monotonic() - began < 5.0  # 20 s, our keepalive, if the broker does not answer
    finally:
        sink.stop()
        thread.join(20)
    assert not thread.is_alive()
