"""A connection for commands: it publishes, listens, and waits for answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import paho.mqtt.client as mqtt

from stream.base.addresses import BrokerAddress
from stream.sinks.mqtt_client import Dialect, TlsFiles, make_client
from stream.sinks.mqtt_connection import Connection

ANSWERED_WITHIN: Final = 5.0
_QUIET_FOR: Final = 0.5  # seconds without a message after which all retained ones have arrived
_AT_ONCE: Final = 10  # topics per subscription


class NoBrokerError(Exception):
    """The broker cannot be used; the text is one line."""


class BrokerVisit:
    """A context manager. Raises NoBrokerError if the broker cannot be used; UsageError for unusable certificates.

    `retained`: payloads that the broker retains, by topic.
    """

    def __init__(self, address: BrokerAddress, tls: TlsFiles, node: str) -> None:
        self._address, self._tls, self._node = address, tls, node
        self._changed = threading.Condition()
        self._dialect = Dialect()
        self._granted: dict[int, list[bool]] = {}  # by message id
        self._received: set[tuple[str, bytes]] = set()
        self._last_received = time.monotonic()
        self._subscribed: list[str] = []
        self.retained: dict[str, bytes] = {}
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.end()
        self.wait(lambda: self.connection.over, 1.0)

    def _open(self) -> None:
        while True:
            self._client = make_client(self._address, self._tls, self._node, self._dialect.protocol)
            self._client.on_message = self._on_message
            self._client.on_subscribe = self._on_subscribe
            connection = self.connection = Connection(self._client, self._wake)
            connection.begin(self._address)
            self.wait(lambda: connection.open or connection.over, ANSWERED_WITHIN)  # noqa: B023 -- called at once
            if connection.open:
                self._dialect.taken()
                return
            again = connection.wrong_version or connection.silent
            if not (again and self._dialect.not_taken(named=connection.wrong_version)):
                connection.end()
                reason = connection.reason or "no answer in time"
                raise NoBrokerError(reason if connection.refused else f"cannot be reached ({reason})")

    def reopen(self) -> None:
        """Connect again, with the same subscriptions, after the broker has dropped the connection."""
        self.connection.end()
        self._open()
        if self._subscribed:
            self.subscribe(self._subscribed)

    @property
    def version(self) -> str:
        """The MQTT version in use."""
        return "5" if self.connection.reports_refusals else "3.1.1"

    def subscribe(self, topics: Sequence[str]) -> set[str]:
        """Subscribe and receive the retained messages. Returns the topics that the broker did not grant."""
        self._subscribed = list(topics)
        denied: set[str] = set()
        for first in range(0, len(topics), _AT_ONCE):
            some = topics[first : first + _AT_ONCE]
            _, mid = self._client.subscribe([(topic, 1) for topic in some])
            self.wait(partial(self._answered, mid), ANSWERED_WITHIN)
            granted = self._granted.get(mid or 0, [False] * len(some))
            denied |= {topic for topic, fine in zip(some, granted, strict=False) if not fine}
        self.wait(lambda: self.quiet_for > _QUIET_FOR, ANSWERED_WITHIN)
        return denied

    def _answered(self, mid: int | None) -> bool:
        return mid in self._granted or self.connection.over

    def received(self, topic: str, payload: bytes) -> bool:
        """Whether this message, not retained, was received."""
        return (topic, payload) in self._received

    @property
    def quiet_for(self) -> float:
        """Seconds since the last message or answer."""
        return time.monotonic() - self._last_received

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until the condition holds, at most this long. Returns whether it does."""
        until = time.monotonic() + seconds
        while not condition():
            if (left := until - time.monotonic()) <= 0:
                return False
            with self._changed:
                self._changed.wait(min(left, 0.05))
        return True

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _on_subscribe(self, _c: Any, _u: Any, mid: int, codes: Any, _p: Any) -> None:
        self._granted[mid] = [not code.is_failure for code in codes]
        self._last_received = time.monotonic()
        self._wake()

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        self._last_received = time.monotonic()
        if message.retain:
            self.retained[message.topic] = bytes(message.payload)
        else:
            self._received.add((message.topic, bytes(message.payload)))
        self._wake()
