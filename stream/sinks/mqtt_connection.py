"""One connection to the broker, from opening to closing. It is not reused; each attempt makes a new one.

So no message of an earlier connection can be sent after newer ones, and it is known which were not acknowledged.
"""

from __future__ import annotations

import fcntl
import struct
import sys
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from stream.base.addresses import BrokerAddress
from stream.sinks.mqtt_client import KEEPALIVE, refusal, why

_WRONG_VERSION: Final = "Unsupported protocol version"
_LOST: Final = "the connection was closed by the broker or the network"
_NO_ANSWER: Final = {  # by whether TLS is used
    False: "the broker closed the connection without an answer; if it expects TLS, use mqtts://",
    True: "the broker closed the connection without an answer; it may require a client certificate",
}
_NO_RETAINING: Final = "Retain not supported"
_FORBIDDEN: Final = "the broker's access rules forbid it"
_CONGESTED: Final = 4_096  # bytes in the send buffer of the operating system
_MOST_FLEETING: Final = 64
OVERHEAD: Final = 16  # bytes of a packet besides topic and payload


@dataclass(frozen=True)
class Sent:
    """A message that was sent, or, without `info`, not sent because the broker would not accept it."""

    info: mqtt.MQTTMessageInfo | None
    refusal: str = ""

    @property
    def acknowledged(self) -> bool:
        """Whether the broker has answered. paho accepts messages while the connection breaks, and never sends them."""
        if self.info is None:
            return True
        return self.info.rc in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_AGAIN) and self.info.is_published()


class Connection:
    """`client` is new and does not reconnect; its thread calls `changed` when the connection opens or closes.

    `packet_limit`: what the broker announced, in bytes, or None. `reason` says why the connection was closed.
    """

    def __init__(self, client: mqtt.Client, changed: Callable[[], None]) -> None:
        self.open = self.over = False
        self.refused = self.wrong_version = False  # as the broker said
        self.silent = False  # the broker closed the connection without an answer
        self.reason = ""
        self.packet_limit: int | None = None
        self.retains = True
        self.rejects_retained = False  # the broker refused the connection because its will is retained
        self.reports_refusals = client.protocol == mqtt.MQTTv5
        self._tls = False
        self._changed = changed
        self._client = client
        self._refused: dict[int, str] = {}  # reasons by message id
        self._fleeting: deque[mqtt.MQTTMessageInfo] = deque()  # not yet in the send buffer
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish

    def begin(self, address: BrokerAddress) -> None:
        """Start connecting in the client's own thread; returns at once."""
        self._tls = address.tls
        self._client.connect_async(address.host, address.port, KEEPALIVE)
        self._client.loop_start()

    def end(self) -> None:
        """Start disconnecting; `over` becomes true once that is done."""
        self._client.disconnect()

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> Sent:
        """Send a message that the broker must acknowledge."""
        size = len(topic.encode()) + len(payload.encode() if isinstance(payload, str) else payload) + OVERHEAD
        if self.packet_limit is not None and size > self.packet_limit:
            return Sent(None, f"larger than the {self.packet_limit} bytes that the broker accepts")
        return Sent(self._client.publish(topic, payload, qos=1, retain=retain and self.retains))

    def publish_fleeting(self, topic: str, payload: str) -> bool:
        """Send a message that would be useless later. Returns False if it was skipped, because too many are waiting."""
        while self._fleeting and _written(self._fleeting[0]):
            self._fleeting.popleft()
        if not self.open or len(self._fleeting) >= _MOST_FLEETING or self._unsent() > _CONGESTED:
            return False
        self._fleeting.append(self._client.publish(topic, payload))
        return True

    def refusal_of(self, sent: Sent) -> str:
        """Why the broker refused an acknowledged message; "" if it did not, or cannot report it."""
        return sent.refusal if sent.info is None else self._refused.pop(sent.info.mid, "")

    def _unsent(self) -> int:
        """Bytes in the send buffer of the operating system."""
        try:
            answer = fcntl.ioctl(self._client.socket().fileno(), termios.TIOCOUTQ, b"\0" * 4)  # type: ignore[union-attr]
        except (OSError, AttributeError, ValueError):
            return 0
        return int(struct.unpack("i", answer)[0])

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self.wrong_version = str(code) == _WRONG_VERSION
            self.rejects_retained = str(code) == _NO_RETAINING
            self.refused = not self.wrong_version
            self._finish(refusal(code))
            return
        self.packet_limit = getattr(properties, "MaximumPacketSize", None)
        self.retains = bool(getattr(properties, "RetainAvailable", 1))
        self.open = True
        self._changed()

    def _on_connect_fail(self, _c: Any, _u: Any) -> None:
        # paho does not pass the error: its callback runs inside `except`, where it is the current exception
        self._finish(why(sys.exc_info()[1]))

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        self.silent = not (self.open or self.over)
        reason = _NO_ANSWER[self._tls] if self.silent else _LOST if str(code) == "Unspecified error" else str(code)
        self._finish(reason if code.is_failure else "")

    def _on_publish(self, _c: Any, _u: Any, mid: int, code: ReasonCode, _p: Any) -> None:
        if code.is_failure:
            self._refused[mid] = _FORBIDDEN if str(code) == "Not authorized" else str(code)

    def _finish(self, reason: str) -> None:
        if not self.over:
            self.reason, self.open, self.over = reason, False, True
            self._changed()


def _written(info: mqtt.MQTTMessageInfo) -> bool:
    """Whether a message without acknowledgement is in the send buffer."""
    with suppress(RuntimeError, ValueError):
        return info.is_published()
    return True
