"""Listens for commands over MQTT, on a connection of its own: a flood of them holds up no alarm.

At most `RATE` a second are looked at; beyond that the network thread rests, and the broker keeps or drops the rest.
Retained commands are ignored: they would come again with every connection.
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
from stream.sinks.echo import EchoWatch, event_key_of
from stream.sinks.home_assistant import BIRTH_TOPIC
from stream.sinks.mqtt_client import KEEPALIVE, Dialect, TlsFiles, make_client

RATE: Final = 500
_SLICE: Final = 0.1
_SCORES_HEARD_FOR: Final = 60.0


class CommandListener:
    """Subscribes to the `set` topics of `cameras`, to Home Assistant's birth message, and to what is published itself.

    `on_event` hears each event as the broker gives it back, for the self-test; in the network's thread. `echo` hears
    of everything that comes back.
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

    def watch(self, cameras: Collection[str]) -> None:
        """From now on these are the cameras."""
        self._cameras = frozenset(cameras)

    def start(self, dialect: Dialect) -> None:
        """Connect, in paho's network thread, to a broker that is there and speaks so; at each call that is not so yet.

        From the sink's thread, whenever it has found the broker.
        """
        if self._client is not None:
            if self._client.protocol == dialect.protocol:
                return
            self._client.disconnect()
        client = make_client(self._address, self._tls, self._node, dialect.protocol, reconnects=True)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._echo.listening(time.monotonic())
        client.on_disconnect = lambda *_: self._echo.deaf()
        client.on_message = self._on_message
        self._client = client
        client.connect_async(self._address.host, self._address.port, KEEPALIVE)
        client.loop_start()

    def stop(self) -> None:
        """Hear no more. The network thread is not waited for: it may hang in a connection that nobody answers."""
        if self._client is not None:
            self._client.disconnect()

    @property
    def dropped(self) -> int:
        """Verdicts that were dropped because too many waited."""
        with self._lock:
            return self._inbox.dropped

    def take(self) -> list[Command]:
        """What has arrived since the last call."""
        with self._lock:
            return self._inbox.take()

    def post(self, command: Command) -> None:
        """A command that came another way; from any thread."""
        with self._lock:
            self._inbox.put(command)

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        if not code.is_failure:  # the publishing connection says why
            self._scores_until = time.monotonic() + _SCORES_HEARD_FOR
            commands = [f"{self._prefix}/+/{word}/set" for word in WORDS]
            client.subscribe([(topic, 1) for topic in (*commands, BIRTH_TOPIC, *self._echo.topics())])

    def _on_message(self, client: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        self._pace()
        topic, payload = message.topic, bytes(message.payload)
        if topic == BIRTH_TOPIC:
            if payload == b"online":
                self._on_birth()
        elif topic.endswith("/set"):
            if not message.retain:
                self._take(topic, payload)
        elif topic == f"{self._prefix}/events":
            self._on_event(payload)
            self._echo.heard(topic, event_key_of(payload))
        elif topic.endswith(("/score", "/stats")):
            self._echo.heard(topic, "")
            if time.monotonic() > self._scores_until:  # it is known by now: the others need not come
                self._echo.enough_scores()
                client.unsubscribe(f"{self._prefix}/+/score")
        else:
            self._echo.heard(topic, payload.decode("utf-8", "replace"))

    def _take(self, topic: str, payload: bytes) -> None:
        camera, word = topic.removeprefix(f"{self._prefix}/").split("/")[:2]
        if camera not in self._cameras:
            self._complain("", word, "no camera of ours")
            return
        try:
            command = parse_command(camera, word, payload)
        except ValueError as error:
            self._complain(camera, word, str(error))
            return
        self.post(command)

    def _complain(self, camera: str, word: str, problem: str) -> None:
        if (camera, word) not in self._complained:
            self._complained.add((camera, word))
            log.warning("command ignored (said once)", topic=f"{camera or '+'}/{word}/set", problem=problem)

    def _pace(self) -> None:
        now = time.monotonic()
        if now - self._slice_began > _SLICE:
            self._slice_began, self._in_slice = now, 0
        self._in_slice += 1
        if self._in_slice > RATE * _SLICE:
            self._echo.late()
            time.sleep(self._slice_began + _SLICE - now if now < self._slice_began + _SLICE else 0.0)
