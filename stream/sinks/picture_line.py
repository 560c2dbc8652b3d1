"""Pictures that the broker is to keep, one a topic: sent one at a time, and only as large as the line carries in 2 s.

How fast the line is shows in how long the broker takes to acknowledge one; the first one ever is small. A
picture that was sent smaller than it is goes again once the line turns out to be faster. Pure but for `shrunk`: times
come in, in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

WITHIN: Final = 2.0  # seconds on the wire: so long it may hold up an event
FIRST: Final = 8_192  # bytes, while the line's speed is not known
LEAST: Final = 2_048  # bytes; a smaller picture shows nothing
_WORTH: Final = 1.5  # times the bytes that it might have, to send it again
_TRIES: Final = 2
_REMEMBERED_FOR: Final = 3_600.0
_ATTEMPTS: Final = 6
_FULL: Final = 0.8  # of the bytes that a smaller picture may have, at least
_OVERHEAD: Final = 32  # bytes of a packet beside topic and payload, and some more


@dataclass
class _Picture:
    jpeg: bytes
    allowed: int = 0  # bytes that it might have when it was sent
    wanted: bool = True


@dataclass(frozen=True)
class Outgoing:
    """A picture to be handed over, of at most `most` bytes."""

    topic: str
    jpeg: bytes
    most: int


class PictureLine:
    """The caller guards it. `complain` hears once of a broker that drops the connection for a picture: topic, bytes."""

    def __init__(self, complain: Callable[[str, int], None]) -> None:
        self._complain = complain
        self._pictures: dict[str, _Picture] = {}
        self._speed: float | None = None  # bytes a second
        self._broker_takes: int | None = None  # bytes of a packet, as it says itself
        self._under_way: tuple[str, int, float] | None = None  # topic, bytes, since when
        self._broken: tuple[str, int] = ("", 0)  # how often the connection broke under this topic's picture
        self._most, self._most_until = math.inf, 0.0  # bytes, as broken connections taught
        self._told = False

    def topics(self) -> list[str]:
        return list(self._pictures)

    @property
    def under_way(self) -> bool:
        return self._under_way is not None

    def set(self, topic: str, jpeg: bytes) -> None:
        """The picture of a topic is another one."""
        self._pictures[topic] = _Picture(jpeg)

    def remove(self, topic: str) -> None:
        """There is none any more."""
        self._pictures.pop(topic, None)

    def connected(self, broker_takes: int | None) -> None:
        """A new connection: what the broker had of the pictures it may have lost."""
        self._broker_takes = broker_takes
        for picture in self._pictures.values():
            picture.wanted = True

    def next(self, now: float) -> Outgoing | None:
        """What to hand over now, while nothing else waits; `handed` or `left_out` follows."""
        if self._under_way is not None:
            return None
        for topic, picture in self._pictures.items():
            if picture.wanted:
                most = self._most_for(topic, now)
                if most >= min(LEAST, len(picture.jpeg)):
                    return Outgoing(topic, picture.jpeg, most)
                picture.wanted = False
        return None

    def handed(self, outgoing: Outgoing, size: int, now: float) -> None:
        """It is on its way with `size` bytes."""
        self._under_way = (outgoing.topic, size, now)
        picture = self._pictures.get(outgoing.topic)
        if picture is not None and picture.jpeg is outgoing.jpeg:
            picture.allowed, picture.wanted = outgoing.most, False

    def left_out(self, outgoing: Outgoing) -> None:
        """It cannot be made small enough."""
        picture = self._pictures.get(outgoing.topic)
        if picture is not None and picture.jpeg is outgoing.jpeg:
            picture.wanted = False

    def acknowledged(self, now: float) -> None:
        """The broker has the one under way."""
        if self._under_way is None:
            return
        topic, size, since = self._under_way
        self._under_way = None
        self._broken = ("", 0)
        speed = size / max(now - since, 1e-3)
        slower = self._speed is None or speed < self._speed
        self._speed = speed if slower or self._speed is None else (speed + self._speed) / 2
        picture = self._pictures.get(topic)
        if picture is not None and not picture.wanted and picture.allowed < len(picture.jpeg):
            picture.wanted = min(self._most_for(topic, now), len(picture.jpeg)) >= _WORTH * picture.allowed

    def connection_lost(self, now: float) -> None:
        """The one under way has not arrived. After two in a row that size is taken for the broker's limit."""
        if self._under_way is None:
            return
        topic, size, since = self._under_way
        self._under_way = None
        self._broken = (topic, self._broken[1] + 1 if self._broken[0] == topic else 1)
        if now - since > WITHIN:  # slower than that, else it would have arrived
            self._speed = min(self._speed or math.inf, size / (now - since))
        if self._broken[1] >= _TRIES:
            self._most, self._most_until, self._broken = size // 4, now + _REMEMBERED_FOR, ("", 0)
            if not self._told:
                self._told = True
                self._complain(topic, size)

    def _most_for(self, topic: str, now: float) -> int:
        """Bytes that a picture may have."""
        by_speed = FIRST if self._speed is None else max(LEAST, self._speed * WITHIN)
        by_broker = math.inf if self._broker_takes is None else self._broker_takes - len(topic.encode()) - _OVERHEAD
        return int(min(by_speed, by_broker, self._most if now < self._most_until else math.inf, 2**28))


def shrunk(jpeg: bytes, most: int) -> bytes | None:
    """The picture as a JPEG of at most `most` bytes, None where it is no picture or cannot be made that small."""
    if len(jpeg) <= most:
        return jpeg
    import cv2  # takes a tenth of a second and 16 MB: only once a picture has to be made smaller
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    best: bytes | None = None
    scale = min(1.0, math.sqrt(most / len(jpeg)))
    for _ in range(_ATTEMPTS):
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
        if len(encoded) <= most and len(encoded) > len(best or b""):
            best = encoded
        if _FULL * most <= len(encoded) <= most or (scale >= 1.0 and len(encoded) <= most):
            break
        scale = min(1.0, scale * math.sqrt((1 + _FULL) / 2 * most / len(encoded)))
    return best
