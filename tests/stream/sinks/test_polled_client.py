"""A connection to the broker beyond descriptor 1024, where hundreds of cameras have the others."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stream.alarm.outbox import Waiting
from stream.base.addresses import parse_broker
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.stream.sinks.delivering import events, heard

LOWEST = 1100


@contextmanager
def no_low_descriptor() -> Iterator[None]:
    """Every descriptor that is opened now is above what select() can watch."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < LOWEST + 200:
        pytest.skip(f"needs {LOWEST + 200} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, LOWEST + 200), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    while taken[-1] < LOWEST:
        taken.append(os.dup(taken[0]))
    yield
    for file in taken:
        os.close(file)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_the_sink_and_its_listener_work_beyond_descriptor_1024(mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    with no_low_descriptor(), heard(parse_broker(mosquitto.url)) as sink:  # `heard` waits for the listener
        for message in events(3):
            sink.event(Waiting(message, time.time()))
        until(lambda: len(subscriber.events()) == 3 and sink.waiting == 0, what="the events")
        mosquitto.kill()
        until(lambda: not sink.connected, what="the loss of the broker")
        mosquitto.start()
        until(lambda: sink.connected, what="the new connection")
    subscriber.close()
