"""Tracks which H.264 and H.265 parameter sets are in force, packet by packet. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

START: Final = b"\x00\x00\x00\x01"
_KINDS: Final = {"h264": (7, 8), "hevc": (32, 33, 34)}
_MOST: Final = 16


def may_hold_image(codec: str, data: bytes) -> bool:
    """False for a packet of H.264 or H.265, in Annex B, that holds only parameter sets and messages, and no slice."""
    at = data.find(b"\x00\x00\x01") if codec in _KINDS else -1
    if at < 0:
        return True
    while 0 <= at < len(data) - 3:
        first = data[at + 3]
        if (1 <= first & 31 <= 5) if codec == "h264" else (first >> 1) & 63 < 32:
            return True
        at = data.find(b"\x00\x00\x01", at + 3)
    return False


class ParameterSets:
    """Follows the parameter sets in a stream; `extradata` is what its description contained.

    `current` contains all of them, in Annex B. It is empty while one kind is missing, and for streams without parameter
    sets in their packets.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        # a file's own description begins with 1, and its packets have no start codes
        self.followed = codec in _KINDS and not (extradata or b"").startswith(b"\x01")
        self._sets: dict[int, list[bytes]] = {}
        self.current = b""
        if self.followed:
            self.see(extradata or b"")

    def see(self, data: bytes) -> bool:
        """Process the next packet; returns whether it contains parameter sets."""
        if not self.followed:
            return False
        found: dict[int, list[bytes]] = {}
        for kind, nal in self._leading(data):
            found.setdefault(kind, []).append(nal)
        if not found:
            return False
        last = _KINDS[self._codec][-1]
        for kind, nals in found.items():
            if kind == last and len(found) == 1:  # another picture set of the same sequence
                nals = [*(nal for nal in self._sets.get(kind, []) if nal not in nals), *nals][-_MOST:]
            self._sets[kind] = nals
        if all(kind in self._sets for kind in _KINDS[self._codec]):
            self.current = b"".join(START + nal for kind in _KINDS[self._codec] for nal in self._sets[kind])
        return all(kind in found for kind in _KINDS[self._codec])

    def _leading(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The parameter sets before the first slice."""
        at = data.find(b"\x00\x00\x01")
        while 0 <= at < len(data) - 4:
            begin = at + 3
            at = data.find(b"\x00\x00\x01", begin)
            kind = data[begin] & 31 if self._codec == "h264" else (data[begin] >> 1) & 63
            if (1 <= kind <= 5) if self._codec == "h264" else kind < 32:
                return
            if kind in _KINDS[self._codec]:
                yield kind, data[begin : at if at >= 0 else len(data)].rstrip(b"\x00")
