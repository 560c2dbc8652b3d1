"""Compressed frames as they came from the camera, and the newest of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

RING_BYTES: Final = 64 * 2**20


@dataclass(frozen=True)
class StoredPacket:
    """A compressed frame; `pts`, `dts` in the stream's time base, `time` in seconds."""

    data: bytes
    pts: int
    dts: int
    keyframe: bool
    time: float
    sets: bytes = b""  # the parameter sets in force, in Annex B
    carries_sets: bool = False


class PacketRing:
    """The newest packets, from a keyframe on: at least `span` seconds, unless they exceed `largest` bytes."""

    def __init__(self, span: float, largest: int = RING_BYTES) -> None:
        self._span = span
        self._largest = largest
        self._packets: deque[StoredPacket] = deque()
        self._keyframes: deque[float] = deque()
        self._bytes = 0

    def add(self, packet: StoredPacket) -> None:
        """Add the next packet. Packets before the first keyframe are useless and skipped."""
        if packet.keyframe:
            self._keyframes.append(packet.time)
        elif not self._keyframes:
            return
        self._packets.append(packet)
        self._bytes += len(packet.data)
        while len(self._keyframes) > 1 and (
            self._keyframes[1] <= packet.time - self._span or self._bytes > self._largest
        ):
            self._drop_group()
        if self._bytes > self._largest:  # one group of pictures is larger than the ring: wait for the next keyframe
            self._packets.clear()
            self._keyframes.clear()
            self._bytes = 0

    def _drop_group(self) -> None:
        self._keyframes.popleft()
        self._bytes -= len(self._packets.popleft().data)
        while not self._packets[0].keyframe:
            self._bytes -= len(self._packets.popleft().data)

    def since(self, begin: float) -> list[StoredPacket]:
        """From the last keyframe at or before `begin`, or from the first one."""
        start = max((at for at in self._keyframes if at <= begin), default=None)
        if start is None:
            return list(self._packets)
        packets = list(self._packets)
        first = next(i for i, packet in enumerate(packets) if packet.keyframe and packet.time >= start)
        return packets[first:]
