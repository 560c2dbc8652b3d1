"""Listens to the nodes on a broker, and sends answers to them."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from stream.base.addresses import BrokerAddress
from stream.base.log import log
from stream.desk.board import Board
from stream.sinks.mqtt_client import KEEPALIVE, TlsFiles, make_client, refusal

_ACCEPTED_WITHIN: Final = 2.0


class DeskListener:
    """`prefixes` are those of instances with several topic levels; without any, all of one level are shown.

    Raises UsageError for unusable certificates.
    """

    def __init__(self, address: BrokerAddress, tls: TlsFiles, prefixes: list[str]) -> None:
        self._nodes = [f"{prefix}/node" for prefix in prefixes] or ["+/node"]
        self._lock = threading.Lock()
        self._board = Board()
        self._problem = "connecting"
        self._address = address
        self._client = make_client(address, tls, "desk", MQTTProtocolVersion.MQTTv311, reconnects=True)
        self._client.reconnect_delay_set(1, 30)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in paho's network thread, and again whenever the connection is lost."""
        self._client.connect_async(self._address.host, self._address.port, KEEPALIVE)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()

    def state(self) -> dict[str, Any]:
        """What the page shows; `problem` is empty while the broker is connected."""
        with self._lock:
            return {**self._board.as_json(), "broker": self._address.shown, "problem": self._problem}

    def acknowledge(self, prefix: str, camera: str, event_id: str, by: str) -> bool:
        """Answer an alarm; False if it is not on the board, or the broker did not accept the answer in time."""
        with self._lock:
            if not self._board.knows(prefix, camera, event_id) or not self._client.is_connected():
                return False
        text = json.dumps({"id": event_id, "by": by})
        sent = self._client.publish(f"{prefix}/{camera}/ack/set", text, qos=1)
        if sent.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        sent.wait_for_publish(_ACCEPTED_WITHIN)
        return sent.is_published()

    def _on_connect(self, client: mqtt.Client, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        with self._lock:
            self._problem = refusal(code) if code.is_failure else ""
            self._board = Board()  # what is retained arrives again, and what is gone must not stay
        if code.is_failure:
            log.warning("broker refused the connection", broker=self._address.shown, reason=refusal(code))
        else:
            client.subscribe([(topic, 1) for topic in self._nodes])

    def _on_disconnect(self, _client: mqtt.Client, _u: Any, _f: Any, _code: ReasonCode, _p: Any) -> None:
        with self._lock:
            self._problem = self._problem or "no connection"

    def _on_message(self, client: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            topics = self._board.take(message.topic, bytes(message.payload))
        if topics:
            client.subscribe([(topic, 1) for topic in topics])
