"""Retained images, one per topic. They are sent one at a time, reduced to what the connection transfers within 2 s.

The transfer rate is measured from the time until the broker acknowledges an image; the very first image is small. A
reduced image is sent again, larger, if the connection turns out to be faster. Pure except for `shrunk`: times are
passed in, in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

WITHIN: Final = 2.0  # seconds; an event may have to wait this long for an image in transit
FIRST: Final = 8_192  # bytes, while the transfer rate is unknown
LEAST: Final = 2_048  # bytes; smaller images show nothing
_WORTH: Final = 1.5  # send an image again if it may be this many times larger
_TRIES: Final = 2
_REMEMBERED_FOR: Final = 3_600.0
_ATTEMPTS: Final = 6
_FULL: Final = 0.8  # a reduced image should use at least this share of the allowed bytes
_OVERHEAD: Final = 32  # bytes of a packet besides topic and payload, with a margin


@dataclass
class _Image:
    jpeg: bytes
    allowed: int = 0  # the limit in bytes when it was last sent
    pending: bool = True


@dataclass(frozen=True)
class Outgoing:
    """An image to send, reduced to `most` bytes."""

    topic: str
    jpeg: bytes
    most: int


class ImageQueue:
    """Not thread-safe. `complain` (topic, bytes, limit) is called once, if an image is larger than the broker's limit,
    or, with the limit None, if the broker drops the connection for an image. `allowed` is as for `RetainedStates`.
    """

    def __init__(
        self, complain: Callable[[str, int, int | None], None], allowed: Callable[[str], bool] = lambda _topic: True
    ) -> None:
        self._allowed = allowed
        self._complain = complain
        self._images: dict[str, _Image] = {}
        self._rate: float | None = None  # bytes per second
        self._packet_limit: int | None = None  # in bytes, if the broker announced one
        self._in_transit: tuple[str, int, float] | None = None  # topic, bytes, start time
        self._broken: tuple[str, int] = (
            "",
            0,
        )  # topic, and how often its image broke the connection
        self._most, self._most_until = (
            math.inf,
            0.0,
        )  # learned from broken connections: bytes, and until when
        self._told = False

    def topics(self) -> list[str]:
        return list(self._images)

    @property
    def in_transit(self) -> bool:
        return self._in_transit is not None

    def set(self, topic: str, jpeg: bytes) -> None:
        """Replace the image of a topic."""
        self._images[topic] = _Image(jpeg)

    def remove(self, topic: str) -> None:
        """Drop the image of a topic."""
        self._images.pop(topic, None)

    def connected(self, packet_limit: int | None) -> None:
        """A new connection: send all images again."""
        self._packet_limit = packet_limit
        for image in self._images.values():
            image.pending = True

    def next(self, now: float) -> Outgoing | None:
        """The next image to send, if any. The caller then calls `sent` or `skipped`."""
        if self._in_transit is not None:
            return None
        for topic, image in self._images.items():
            if image.pending and self._allowed(topic):
                if len(image.jpeg) > self._most_in_packet(topic):
                    self._tell(topic, len(image.jpeg), self._packet_limit)
                most = self._most_for(topic, now)
                if most >= min(LEAST, len(image.jpeg)):
                    return Outgoing(topic, image.jpeg, most)
                image.pending = False
        return None

    def sent(self, outgoing: Outgoing, size: int, now: float) -> None:
        """It was sent with `size` bytes."""
        self._in_transit = (outgoing.topic, size, now)
        image = self._images.get(outgoing.topic)
        if image is not None and image.jpeg is outgoing.jpeg:
            image.allowed, image.pending = outgoing.most, False

    def skipped(self, outgoing: Outgoing) -> None:
        """It cannot be reduced that far."""
        image = self._images.get(outgoing.topic)
        if image is not None and image.jpeg is outgoing.jpeg:
            image.pending = False

    def acknowledged(self, now: float) -> None:
        """The broker has the image in transit."""
        if self._in_transit is None:
            return
        topic, size, since = self._in_transit
        self._in_transit = None
        self._broken = ("", 0)
        rate = size / max(now - since, 1e-3)
        slower = self._rate is None or rate < self._rate
        self._rate = rate if slower or self._rate is None else (rate + self._rate) / 2
        image = self._images.get(topic)
        if image is not None and not image.pending and image.allowed < len(image.jpeg):
            image.pending = min(self._most_for(topic, now), len(image.jpeg)) >= _WORTH * image.allowed

    def connection_lost(self, now: float) -> None:
        """The image in transit was lost. If that happens twice in a row, smaller images are sent for an hour."""
        if self._in_transit is None:
            return
        topic, size, since = self._in_transit
        self._in_transit = None
        self._broken = (topic, self._broken[1] + 1 if self._broken[0] == topic else 1)
        if now - since > WITHIN:  # the rate is lower than this, or it would have arrived
            self._rate = min(self._rate or math.inf, size / (now - since))
        if self._broken[1] >= _TRIES:
            self._most, self._most_until, self._broken = size // 4, now + _REMEMBERED_FOR, ("", 0)
            self._tell(topic, size, None)

    def _tell(self, topic: str, size: int, limit: int | None) -> None:
        if not self._told:
            self._told = True
            self._complain(topic, size, limit)

    def _most_in_packet(self, topic: str) -> float:
        return math.inf if self._packet_limit is None else self._packet_limit - len(topic.encode()) - _OVERHEAD

    def _most_for(self, topic: str, now: float) -> int:
        """The limit in bytes for an image."""
        by_rate = FIRST if self._rate is None else max(LEAST, self._rate * WITHIN)
        by_packet = self._most_in_packet(topic)
        return int(min(by_rate, by_packet, self._most if now < self._most_until else math.inf, 2**28))


def shrunk(jpeg: bytes, most: int) -> bytes | None:
    """The image as a JPEG of at most `most` bytes; None if it cannot be decoded or reduced that far."""
    if len(jpeg) <= most:
        return jpeg
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return None
    best: bytes | None = None
    scale = min(1.0, math.sqrt(most / len(jpeg)))
    for _ in range(_ATTEMPTS):
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()
        if len(encoded) <= most and len(encoded) > len(best or b""):
            best = encoded
        if _FULL * most <= len(encoded) <= most or (scale >= 1.0 and len(encoded) <= most):
            break
        scale = min(1.0, scale * math.sqrt((1 + _FULL) / 2 * most / len(encoded)))
    return best
