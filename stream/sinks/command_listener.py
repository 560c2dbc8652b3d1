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

from stream.alarm.requests import CHECK, WORDS, Command, Inbox, SetMode, parse_command
from stream.base.addresses import BrokerAddress
from stream.base.errors import UsageError
from stream.base.log import log
from stream.sinks.echo import EchoWatch, event_key_of
from stream.sinks.home_assistant import BIRTH_TOPIC
from stream.sinks.mqtt_client import KEEPALIVE, Dialect, TlsFiles, make_client

RATE: Final = 500
_LONGEST_MODE: Final = 40
_SLICE: Final = 0.1
_SCORES_HEARD_FOR: Final = 60.0


class CommandListener:
    """Subscribes to the `set` topics of `cameras`, to Home Assistant's birth message, and to the service's own topics.

    `on_event` is called with each event that the broker sends back (for the self-test), in the network thread. `echo`
    is told of everything that the broker sends back.
    """

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        node: str,
        tls: TlsFiles,
        cameras: Collection[str],
        on_birth: Callable[[], None],
        echo: EchoWatch,
        on_event: Callable[[bytes], None] = lambda _payload: None,
    ) -> None:
        self._modes: Collection[str] = ()
        self._address = address
        self._prefix = prefix
        self._node = node
        self._tls = tls
        self._cameras = frozenset(cameras)
        self._on_birth = on_birth
        self._echo = echo
        self._on_event = on_event
        self._lock = threading.Lock()
        self._inbox = Inbox()
        self._complained: set[tuple[str, str]] = set()
        self._slice_began, self._in_slice = 0.0, 0
        self._scores_until = 0.0
        self._client: mqtt.Client | None = None

    def watch(self, cameras: Collection[str], modes: Collection[str]) -> None:
        """Replace the set of cameras, and the modes that can be chosen."""
        self._cameras = frozenset(cameras)
        self._modes = modes

    def start(self, dialect: Dialect) -> None:
        """Connect in paho's network thread, once. The sink's thread calls it on each of its connections."""
        if self._client is not None:
            if self._client.protocol == dialect.protocol:
                return
            self._client.disconnect()
        try:
            client = make_client(self._address, self._tls, self._node, dialect.protocol, reconnects=True)
        except UsageError:  # the certificates have just changed; the publishing connection says so the next time
            return
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._echo.listening(time.monotonic())
        client.on_disconnect = lambda *_: self._echo.not_listening()
        client.on_message = self._on_message
        self._client = client
        client.connect_async(self._address.host, self._address.port, KEEPALIVE)
        client.loop_start()

    def stop(self) -> None:
        """Disconnect. The network thread is not joined, because it may hang in an unanswered connection."""
        if self._client is not None:
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
            self._scores_until = time.monotonic() + _SCORES_HEARD_FOR
            commands = [f"{self._prefix}/+/{word}/set" for word in WORDS]
            commands.append(f"{self._prefix}/mode/set")
            client.subscribe([(topic, 1) for topic in (*commands, BIRTH_TOPIC, *self._echo.topics())])

    def _on_message(self, client: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        self._pace()
        topic, payload = message.topic, bytes(message.payload)
        if topic == BIRTH_TOPIC:
            if payload == b"online":
                self._on_birth()
        elif topic.endswith("/set"):
            if not message.retain and payload != CHECK.encode():
                self._take(topic, payload)
        elif topic == f"{self._prefix}/events":
            self._on_event(payload)
            self._echo.received(topic, event_key_of(payload))
        elif topic.endswith(("/score", "/stats")):
            self._echo.received(topic, "")
            if time.monotonic() > self._scores_until:  # by now it is known whether they come back
                self._echo.ignore_scores()
                client.unsubscribe(f"{self._prefix}/+/score")
        else:
            self._echo.received(topic, payload.decode("utf-8", "replace"))

    def _take(self, topic: str, payload: bytes) -> None:
        if topic == f"{self._prefix}/mode/set":
            self._take_mode(payload)
            return
        camera, word = topic.removeprefix(f"{self._prefix}/").split("/")[:2]
        if camera not in self._cameras:
            self._complain("", word, "unknown camera")
            return
        try:
            command = parse_command(camera, word, payload)
        except ValueError as error:
            self._complain(camera, word, str(error))
            return
        self.post(command)

    def _take_mode(self, payload: bytes) -> None:
        name = payload[:_LONGEST_MODE].decode("utf-8", "replace").strip()
        if not self._modes:
            log.warning("mode not changed", problem="the site file has no `modes`")
        elif name not in self._modes:
            problem = f"no such mode: {name!r}; must be {', '.join(self._modes)}"
            log.warning("mode not changed", problem=problem)
        else:
            self.post(SetMode(name))

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
            self._echo.restart()
            time.sleep(self._slice_began + _SLICE - now if now < self._slice_began + _SLICE else 0.0)
