"""The embedded broker, with real clients."""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import paho.mqtt.publish
import pytest

from stream.service.processes import start_process
from stream.sinks.embedded_broker import HOST, EmbeddedBroker, free_port
from tests.servers.embedded import embedded_broker
from tests.servers.mosquitto import Subscriber
from tests.servers.processes import listening, until


def test_a_taken_port_is_passed_over() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) > port


@pytest.mark.slow
def test_retained_and_acknowledged_messages_reach_subscribers() -> None:
    with embedded_broker() as port:
        assert not any(listening_elsewhere(port))
        subscriber = Subscriber(port)
        paho.mqtt.publish.single("mgfn/door/anomaly", "ON", qos=1, retain=True, hostname=HOST, port=port)
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON")
        subscriber.close()
        late = Subscriber(port)
        until(lambda: ("mgfn/door/anomaly", "ON", True) in late.messages)
        late.close()


@pytest.mark.slow
def test_mosquitto_sub_can_listen() -> None:
    with embedded_broker() as port:
        paho.mqtt.publish.single("mgfn/door/anomaly", "ON", qos=1, retain=True, hostname=HOST, port=port)
        command = ["mosquitto_sub", "-h", HOST, "-p", str(port), "-t", "mgfn/#", "-C", "1", "-W", "10", "-v"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            pytest.skip("needs mosquitto_sub: apt-get install mosquitto-clients")
    assert said == "mgfn/door/anomaly ON\n"


@pytest.mark.slow
def test_a_broker_that_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = EmbeddedBroker(start_process)
    try:
        embedded.look_after(0.0)  # all is well
        died = embedded._process
        died.kill()
        until(lambda: not embedded._process.is_alive())

        def no_room(*_: object) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(embedded, "_start_process", no_room)
        embedded.look_after(1.0)
        monkeypatch.undo()
        embedded.look_after(10.0)
        until(lambda: listening(embedded.address.port), what="the broker listening again")
        assert embedded._process.pid != died.pid
    finally:
        embedded.end(5.0)


def listening_elsewhere(port: int) -> Iterator[bool]:
    """Whether other addresses of this machine answer: the broker is for this machine alone."""
    for address in {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}:
        if not str(address).startswith("127."):
            with socket.socket() as probe:
                yield probe.connect_ex((str(address), port)) == 0
    assert listening(port)
