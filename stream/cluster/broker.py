"""Leases as retained messages on the MQTT broker, on a connection of their own; `stream.cluster.mirror` has the rules.

`<prefix>/lease/camera/<camera>`, `lease/site` and `lease/worker/<worker>` are the leases, `lease/beat/<session>` the
beats, `lease/drain/<session>` the requests to drain, and `checkpoint/<camera>` what a camera's next owner needs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from stream.base.addresses import BrokerAddress
from stream.base.clock import since_boot
from stream.base.foreign_json import foreign_json
from stream.base.log import log
from stream.base.ownership import SITE
from stream.cluster.mirror import Mirror
from stream.cluster.records import Beat, Record, Snapshot, StoreError
from stream.sinks.mqtt_client import TlsFiles, make_client, refusal

_ANSWERED_WITHIN: Final = 2.0
_KEEPALIVE: Final = 5
_LOADED_WITHIN: Final = 1.0
_ACCEPTED_WITHIN: Final = 2.0  # of the five seconds in which a service ends


class BrokerStore:
    """See `LeaseStore`. Connects in the network thread of the client, and again whenever the connection is lost."""

    def __init__(self, address: BrokerAddress, prefix: str, node: str, tls: TlsFiles) -> None:
        self._shown = address.shown
        self._leases = f"{prefix}/lease/"
        self._checkpoints = f"{prefix}/checkpoint/"
        self._mirror = Mirror()
        self._changed = threading.Condition()
        self._subscribed = False
        self._refused = ""
        self._loaded: dict[str, bytes] = {}
        self._counting = threading.Lock()
        self._unanswered = 0  # messages that the broker has not acknowledged
        self._client = make_client(address, tls, f"{node}-lease", MQTTProtocolVersion.MQTTv311, reconnects=True)
        self._client.reconnect_delay_set(1, 2)
        self._client.max_inflight_messages_set(0)  # no limit: else `close` loses what still waits for its turn
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.connect_async(address.host, address.port, _KEEPALIVE)
        self._client.loop_start()

    def exchange(self, beat: Beat) -> Snapshot:
        def is_back() -> bool:
            back = self._mirror.beats.get(beat.session)
            return back is not None and back.number >= beat.number

        with self._changed:
            self._wait_for_broker()
            self._publish(f"beat/{beat.session}", beat.as_json())
            if not self._changed.wait_for(lambda: is_back() or not self._subscribed, _ANSWERED_WITHIN) or not is_back():
                raise StoreError(f"leases: messages to the broker {self._shown} do not come back")
            return self._mirror.snapshot(since_boot())

    def _wait_for_broker(self) -> None:
        if not self._changed.wait_for(lambda: self._subscribed, _ANSWERED_WITHIN):
            why = f"refuses the connection: {self._refused}" if self._refused else "cannot be reached"
            raise StoreError(f"leases: the broker {self._shown} {why}")

    def look(self) -> Snapshot:
        with self._changed:
            self._wait_for_broker()
        probe = Beat("", f"look-{since_boot()}", standby=True)
        try:
            return self.exchange(probe)
        finally:
            self.forget(probe.session)

    def claim(self, key: str, record: Record) -> None:
        self._publish(_path(key), record.as_json())

    def save(self, camera: str, checkpoint: bytes) -> None:
        self._retain(f"{self._checkpoints}{camera}", checkpoint)

    def load(self, cameras: Sequence[str]) -> dict[str, bytes]:
        topics = [f"{self._checkpoints}{camera}" for camera in cameras]
        if not topics:
            return {}
        with self._changed:
            self._loaded.clear()
            self._client.subscribe([(topic, 1) for topic in topics])
            self._changed.wait_for(lambda: len(self._loaded) == len(topics), _LOADED_WITHIN)
            found = {topic.removeprefix(self._checkpoints): payload for topic, payload in self._loaded.items()}
        self._client.unsubscribe(topics)
        return found

    def drain(self, session: str) -> None:
        self._publish(f"drain/{session}", {"session": session})

    def forget(self, session: str) -> None:
        for topic in (f"{self._leases}beat/{session}", f"{self._leases}drain/{session}"):
            self._retain(topic, b"")

    def close(self) -> None:
        """Disconnect when the broker has acknowledged what was sent: else it may discard what it has not yet read."""
        until = time.monotonic() + _ACCEPTED_WITHIN
        while self._unanswered and self._client.is_connected() and time.monotonic() < until:
            time.sleep(0.01)
        self._client.disconnect()

    def _publish(self, path: str, payload: dict[str, Any]) -> None:
        self._retain(f"{self._leases}{path}", json.dumps(payload).encode())

    def _retain(self, topic: str, payload: bytes) -> None:
        with self._counting:
            self._unanswered += 1
        self._client.publish(topic, payload, qos=1, retain=True)

    def _on_publish(self, *_: Any) -> None:
        with self._counting:
            self._unanswered -= 1

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        self._refused = refusal(code) if code.is_failure else ""
        if code.is_failure:
            return
        with self._changed:
            self._mirror.connected()
        client.subscribe(f"{self._leases}#", qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_disconnect(self, *_: Any) -> None:
        with self._changed:
            self._subscribed = False
            self._changed.notify_all()

    def _on_message(self, _client: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            if message.topic.startswith(self._checkpoints):
                self._loaded[message.topic] = bytes(message.payload)
            else:
                self._take(message.topic.removeprefix(self._leases), bytes(message.payload), retained=message.retain)
            self._changed.notify_all()

    def _take(self, path: str, payload: bytes, *, retained: bool) -> None:
        kind, _, name = path.partition("/")
        if kind == "drain":
            self._mirror.drained.add(name) if payload else self._mirror.drained.discard(name)
            return
        if not payload:
            self._mirror.beats.pop(name, None) if kind == "beat" else None
            return
        try:
            told = foreign_json(payload)
            if kind == "beat":
                self._mirror.beats[name] = Beat.from_json(told)
                return
            key = {"site": SITE, "camera": name, "worker": f"@{name}"}[kind]
            record, again = Record.from_json(told), bool(told.get("again"))
        except (ValueError, KeyError):
            log.warning("message about leases ignored: not of this program", topic=f"{self._leases}{path}")
            return
        if (right := self._mirror.take(key, record, since_boot(), retained=retained, again=again)) is not None:
            self._publish(path, right.as_json() | {"again": True})


def _path(key: str) -> str:
    if key == SITE:
        return "site"
    return f"worker/{key[1:]}" if key.startswith("@") else f"camera/{key}"
