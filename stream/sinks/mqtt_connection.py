"""One connection to the broker, from its opening to its end. It is never used again: whoever wants another makes one.

So nothing of an earlier connection can be sent after what is newer, and what the broker had not acknowledged is known.
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
_FORBIDDEN: Final = "the broker's access rules forbid it"
_CONGESTED: Final = 4_096  # bytes that wait in the machine's own buffer
_MOST_FLEETING: Final = 64
OVERHEAD: Final = 16  # bytes of a packet beside topic and payload


@dataclass(frozen=True)
class Sent:
    """A message that was handed over; without `info` it was not, because the broker would not take it."""

    info: mqtt.MQTTMessageInfo | None
    refusal: str = ""

    @property
    def acknowledged(self) -> bool:
        """Whether the broker has answered. paho takes a message while the connection breaks, and keeps it."""
        if self.info is None:
            return True
        return self.info.rc in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_AGAIN) and self.info.is_published()


class Connection:
    """`client` is a fresh one that does not reconnect; `changed` is called by its thread whenever it opens or ends.

    `largest` is the broker's limit in bytes for a packet, None: it named none. `reason` says why it is over.
    """

    def __init__(self, client: mqtt.Client, changed: Callable[[], None]) -> None:
        self.open = self.over = False
        self.refused = self.wrong_version = False  # the broker said so
        self.silent = False  # the broker left without an answer
        self.reason = ""
        self.largest: int | None = None
        self.retains = True
        self.reports = client.protocol == mqtt.MQTTv5  # an acknowledgement says whether the message was let through
        self._changed = changed
        self._client = client
        self._refused: dict[int, str] = {}  # by message, why the broker did not let it through
        self._fleeting: deque[mqtt.MQTTMessageInfo] = deque()  # not yet in the machine's buffer; the loop's alone
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish

    def begin(self, address: BrokerAddress) -> None:
        """Open it, in the client's own thread; returns at once."""
        self._client.connect_async(address.host, address.port, KEEPALIVE)
        self._client.loop_start()

    def end(self) -> None:
        """Say goodbye; `over` follows once it is said."""
        self._client.disconnect()

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False) -> Sent:
        """Hand over a message that the broker is to acknowledge."""
        size = len(topic.encode()) + len(payload.encode() if isinstance(payload, str) else payload) + OVERHEAD
        if self.largest is not None and size > self.largest:
            return Sent(None, f"larger than the {self.largest} bytes that the broker takes")
        return Sent(self._client.publish(topic, payload, qos=1, retain=retain and self.retains))

    def publish_fleeting(self, topic: str, payload: str) -> bool:
        """Hand over a message that is of no use later; False: it was left out, the line is full of others."""
        while self._fleeting and _written(self._fleeting[0]):
            self._fleeting.popleft()
        if not self.open or len(self._fleeting) >= _MOST_FLEETING or self._unsent() > _CONGESTED:
            return False
        self._fleeting.append(self._client.publish(topic, payload))
        return True

    def refusal_of(self, sent: Sent) -> str:
        """Why the broker did not let an acknowledged message through; "" if it did, or does not say."""
        return sent.refusal if sent.info is None else self._refused.pop(sent.info.mid, "")

    def _unsent(self) -> int:
        """Bytes in the machine's own send buffer."""
        try:
            answer = fcntl.ioctl(self._client.socket().fileno(), termios.TIOCOUTQ, b"\0" * 4)  # type: ignore[union-attr]
        except (OSError, AttributeError, ValueError):
            return 0
        return int(struct.unpack("i", answer)[0])

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self.wrong_version = str(code) == _WRONG_VERSION
            self.refused = not self.wrong_version
            self._finish(refusal(code))
            return
        self.largest = getattr(properties, "MaximumPacketSize", None)
        self.retains = bool(getattr(properties, "RetainAvailable", 1))
        self.open = True
        self._changed()

    def _on_connect_fail(self, _c: Any, _u: Any) -> None:
        # paho keeps the error for itself: in a callback of `except` it is the one that is being handled
        self._finish(why(sys.exc_info()[1]))

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
        self.silent = not (self.open or self.over)
        self._finish(str(code) if code.is_failure else "")

    def _on_publish(self, _c: Any, _u: Any, mid: int, code: ReasonCode, _p: Any) -> None:
        if code.is_failure:
            self._refused[mid] = _FORBIDDEN if str(code) == "Not authorized" else str(code)

    def _finish(self, reason: str) -> None:
        if not self.over:
            self.reason, self.open, self.over = reason, False, True
            self._changed()


def _written(info: mqtt.MQTTMessageInfo) -> bool:
    """Whether a message that nobody acknowledges has gone to the machine's buffer."""
    with suppress(RuntimeError, ValueError):
        return info.is_published()
    return True
