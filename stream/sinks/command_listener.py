"""Receives commands over MQTT, on a separate connection, so that a flood of commands delays no alarm.

At most `RATE` messages are read per second; beyond that the network thread pauses, and the broker queues or drops the
rest. Retained commands are ignored, because they would arrive again on every connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from stream.alarm.requests import WORDS, Command, Inbox, parse_command
from stream.base.addresses import BrokerAddress
from stream.base.log import log
from stream.sinks.home_assistant import BIRTH_TOPIC
from stream.sinks.mqtt_client import KEEPALIVE, TlsFiles, make_client

RATE: Final = 500
_SLICE: Final = 0.1


class CommandListener:
    """Subscribes to the `set` topics of `cameras` and to Home Assistant's birth message.

    `on_event` is called with each event that the broker sends back (for the self-test), in the network thread.
    """

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        node: str,
        tls: TlsFiles,
        cameras: Collection[str],
        on_birth: Callable[[], None],
        on_event: Callable[[bytes], None] | None = None,
    ) -> None:
        self._address = address
        self._prefix = prefix
        self._cameras = frozenset(cameras)
        self._on_birth = on_birth
        self._on_event = on_event
        self._lock = threading.Lock()
        self._inbox = Inbox()
        self._complained: set[tuple[str, str]] = set()
        self._slice_began, self._in_slice = 0.0, 0
        client = make_client(address, tls, node)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        self._client = client

    def watch(self, cameras: Collection[str]) -> None:
        """Replace the set of cameras."""
        self._cameras = frozenset(cameras)

    def start(self) -> None:
        """Connect as soon as possible, in paho's network thread."""
        self._client.connect_async(self._address.host, self._address.port, KEEPALIVE)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect. The network thread is not joined, because it may hang in an unanswered connection."""
        self._client.disconnect()

    @property
    def dropped(self) -> int:
        """Number of verdicts that were dropped because too many were waiting."""
        with self._lock:
            return self._inbox.dropped

    def take(self) -> list[Command]:
        """The commands that have arrived since the last call."""
        with self._lock:
            return self._inbox.take()

    def post(self, command: Command) -> None:
        """Add a command that arrived in another way. Thread-safe."""
        with self._lock:
            self._inbox.put(command)

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        if not code.is_failure:  # the publishing connection says why
            topics = [(f"{self._prefix}/+/{word}/set", 1) for word in WORDS] + [(BIRTH_TOPIC, 1)]
            if self._on_event is not None:
                topics.append((f"{self._prefix}/events", 1))
            client.subscribe(topics)

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        self._pace()
        if message.topic == BIRTH_TOPIC:
            if message.payload == b"online":
                self._on_birth()
            return
        if message.topic == f"{self._prefix}/events":
            if self._on_event is not None:
                self._on_event(bytes(message.payload))
            return
        if message.retain:
            return
        camera, word = message.topic.removeprefix(f"{self._prefix}/").split("/")[:2]
        if camera not in self._cameras:
            self._complain("", word, "unknown camera")
            return
        try:
            command = parse_command(camera, word, bytes(message.payload))
        except ValueError as error:
            self._complain(camera, word, str(error))
            return
        self.post(command)

    def _complain(self, camera: str, word: str, problem: str) -> None:
        if (camera, word) not in self._complained:
            self._complained.add((camera, word))
            log.warning("command ignored (logged once)", topic=f"{camera or '+'}/{word}/set", problem=problem)

    def _pace(self) -> None:
        now = time.monotonic()
        if now - self._slice_began > _SLICE:
            self._slice_began, self._in_slice = now, 0
        self._in_slice += 1
        if self._in_slice > RATE * _SLICE:
            time.sleep(self._slice_began + _SLICE - now if now < self._slice_began + _SLICE else 0.0)
