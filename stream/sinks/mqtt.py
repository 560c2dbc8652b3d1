"""Alarms and states to an MQTT broker.

Events wait in a bounded queue in memory and leave one at a time, in order, each acknowledged before the next: a
lost broker loses nothing, a kill of this program loses what still waits. States are retained and published again
on every connection. Scores are sent only while connected: an old one is of no use.

The service runs `deliver` in a thread; paho's client has a network thread of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from stream.errors import UsageError
from stream.events import Payload, stamped
from stream.log import log
from stream.urls import BrokerAddress

QUEUE_LIMIT: Final = 10_000
_KEEPALIVE: Final = 20
_ACKNOWLEDGED_WITHIN: Final = 0.01
_REFUSALS: Final = ("Not authorized", "Bad user name or password")


@dataclass(frozen=True)
class TlsFiles:
    """Certificates for `mqtts://`; None takes the system's."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class _Waiting:
    payload: Payload
    made: float


def make_client(address: BrokerAddress, tls: TlsFiles, node: str) -> mqtt.Client:
    """A client for `address`, not yet connected. Raises UsageError for certificates that cannot be used."""
    client_id = f"mgfn-{node[:24]}-{os.getpid()}-{secrets.token_hex(4)}"
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    given = [path for path in (tls.ca, tls.cert, tls.key) if path is not None]
    if given and not address.tls:
        raise UsageError(f"--mqtt-ca, --mqtt-cert, --mqtt-key: {address.shown} is not encrypted; use mqtts://")
    if address.tls:
        for path in given:
            if not path.is_file():
                raise UsageError(f"{path}: no such certificate file")
        try:
            context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
            if tls.cert:
                context.load_cert_chain(tls.cert, tls.key)
        except (ssl.SSLError, OSError) as error:
            shown = ", ".join(str(path) for path in given)
            raise UsageError(f"{shown}: not usable as certificates: {error}") from None
        client.tls_set_context(context)
    return client


class MqttSink:
    """Publishes under `prefix`. It connects when it can, and goes on trying for ever.

    Verbs only note what is to be said and return at once; `deliver`, in a thread of its own, says it. No lock is
    held while paho is called: paho calls back with its own locks held.
    """

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        node: str,
        tls: TlsFiles | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self.shown = address.shown
        self._address = address
        self._prefix = prefix
        self._queue_limit = queue_limit
        self._changed = threading.Condition()
        self._events: deque[_Waiting] = deque()
        self._in_flight: mqtt.MQTTMessageInfo | None = None
        self._states: dict[str, str] = {"available": "online"}
        self._unsaid: dict[str, None] = {}  # topics in `_states` that the broker has not heard; in order
        self._unsettled: list[mqtt.MQTTMessageInfo] = []
        self._connected = self._ending = False
        self._complaint = ""
        self.events_lost = 0
        client = make_client(address, tls or TlsFiles(), node)
        client.will_set(f"{prefix}/available", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        self._client = client

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def waiting(self) -> int:
        """Events that the broker has not acknowledged."""
        with self._changed:
            return len(self._events) + (self._in_flight is not None)

    def camera_status(self, camera: str, status: str) -> None:
        """Retained `status`, and `available` with it."""
        self._state(f"{camera}/status", status)
        self._state(f"{camera}/available", "offline" if status == "offline" else "online")

    def camera_anomaly(self, camera: str, active: bool) -> None:
        """Retained `anomaly`: ON while an alarm is open."""
        self._state(f"{camera}/anomaly", "ON" if active else "OFF")

    def score(self, camera: str, score: float, threshold: float, at: float, window: int) -> None:
        """One score, QoS 0; `at` is the end of its clip in epoch seconds."""
        if self._connected:
            payload = {"score": round(score, 4), "threshold": threshold, "time": round(at, 3), "window": window}
            self._client.publish(f"{self._prefix}/{camera}/score", json.dumps(payload))

    def event(self, payload: Payload) -> None:
        """Queue one message of an event. A full queue gives up its oldest `update`, else its oldest message."""
        with self._changed:
            if len(self._events) >= self._queue_limit:
                updates = (w for w in self._events if w.payload["type"] == "update")
                self._events.remove(next(updates, self._events[0]))
                self.events_lost += 1
                if self.events_lost == 1:
                    log.error("events are being lost: the broker is away and the queue is full", broker=self.shown)
            self._events.append(_Waiting(payload, time.time()))
            self._changed.notify()

    def stop(self) -> None:
        """Say `offline` everywhere; `deliver` returns once all is acknowledged, or at once without a broker."""
        for topic in list(self._states):
            if topic.endswith(("available", "/status")):
                self._state(topic, "offline")
        with self._changed:
            self._ending = True
            self._changed.notify()

    def deliver(self) -> None:
        """Connect and publish until stopped: body of the sink's thread."""
        self._client.connect_async(self._address.host, self._address.port, _KEEPALIVE)
        self._client.loop_start()
        while self._deliver_next():
            pass
        if self.waiting:
            log.error("events not delivered", count=self.waiting, broker=self.shown)
        self._client.disconnect()
        self._client.loop_stop()

    def _deliver_next(self) -> bool:
        with self._changed:
            while not (self._may_send() or self._over()):
                # paho tells of an acknowledgement before it counts as one: look again instead of being told
                acknowledging = self._connected and (self._in_flight or self._unsettled)
                self._changed.wait(_ACKNOWLEDGED_WITHIN if acknowledging else None)
            if self._over() and not self._may_send():
                return False
            states = {topic: self._states[topic] for topic in self._unsaid}
            self._unsaid.clear()
            event = self._events.popleft() if self._events and self._in_flight is None else None
        for topic, payload in states.items():
            sent = self._client.publish(f"{self._prefix}/{topic}", payload, qos=1, retain=True)
            self._unsettled.append(sent)
        if event is not None:
            payload = json.dumps(stamped(event.payload, event.made, time.time()))
            # paho answers "no connection" yet keeps the message and delivers it later: never handed over twice
            self._in_flight = self._client.publish(f"{self._prefix}/events", payload, qos=1)
        return True

    def _may_send(self) -> bool:
        """Something can be handed to paho. The lock is held."""
        if self._in_flight is not None and self._in_flight.is_published():
            self._in_flight = None
        self._unsettled = [sent for sent in self._unsettled if not sent.is_published()]
        return self._connected and bool(self._unsaid or (self._events and self._in_flight is None))

    def _over(self) -> bool:
        """Stopped, and nothing left that the broker could still acknowledge. The lock is held."""
        settled = not (self._events or self._in_flight or self._unsettled or self._unsaid)
        return self._ending and (settled or not self._connected)

    def _state(self, topic: str, payload: str) -> None:
        with self._changed:
            if self._states.get(topic) != payload:
                self._states[topic] = payload
                self._unsaid[topic] = None
                self._changed.notify()

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        if code.is_failure:
            why = "wrong user or password" if str(code) in _REFUSALS else str(code)
            self._complain("the broker refused us", why)
            return
        with self._changed:
            self._connected, self._complaint = True, ""
            self._unsaid = dict.fromkeys(self._states)
            self._changed.notify()
        log.info("connected to the broker", broker=self.shown)

    def _on_connect_fail(self, _c: Any, _u: Any) -> None:
        self._complain("the broker cannot be reached; trying again for ever", "")

    def _complain(self, what: str, reason: str) -> None:
        if self._complaint != what:
            self._complaint = what
            log.error(what, broker=self.shown, reason=reason)

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        if self._connected and code.is_failure:
            log.warning("lost the broker", broker=self.shown, reason=str(code))
        with self._changed:
            self._connected = False
            self._changed.notify()


def probe(address: BrokerAddress, tls: TlsFiles, node: str, timeout: float = 5.0) -> str:
    """Connect once and leave: "" if the broker took us, else one line that says why not."""
    client = make_client(address, tls, node)
    answered = threading.Event()
    answer: list[ReasonCode] = []

    def on_connect(_c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        answer.append(code)
        answered.set()

    client.on_connect = on_connect
    try:
        if client.connect(address.host, address.port, _KEEPALIVE) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            return "cannot be reached"
    except (OSError, ValueError) as error:
        return f"cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"
    client.loop_start()
    try:
        if not answered.wait(timeout):
            return "no answer in time"
        if answer[0].is_failure:
            return "wrong user or password" if str(answer[0]) in _REFUSALS else str(answer[0])
        return ""
    finally:
        client.disconnect()
        client.loop_stop()
