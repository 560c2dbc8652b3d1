"""Tracks which H.264 and H.265 parameter sets are in force, packet by packet. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

START: Final = b"\x00\x00\x00\x01"
_MARK: Final = START[1:]
_KINDS: Final = {"h264": (7, 8), "hevc": (32, 33, 34)}
_IDR: Final = 5  # of H.264
_MOST: Final = 16


def may_hold_image(codec: str, data: bytes) -> bool:
    """False for a packet of H.264 or H.265, in Annex B, that holds only parameter sets and messages, and no slice."""
    kinds = [kind for kind, _ in _units(codec, data)] if codec in _KINDS else []
    return not kinds or any(_is_slice(codec, kind) for kind in kinds)


def begins_anew(codec: str, data: bytes) -> bool:
    """False for a packet of H.264, in Annex B, without an IDR slice: FFmpeg also takes those for keyframes from which
    on the image is refreshed bit by bit, and they build on the packets before them.
    """
    kinds = [kind for kind, _ in _units(codec, data)] if codec == "h264" else []
    return not kinds or _IDR in kinds


def _units(codec: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind of each unit of a packet in Annex B, and the unit."""
    at = data.find(_MARK)
    while 0 <= at < len(data) - len(_MARK):
        begin = at + len(_MARK)
        at = data.find(_MARK, begin)
        kind = data[begin] & 31 if codec == "h264" else (data[begin] >> 1) & 63
        yield kind, data[begin : at if at >= 0 else len(data)]


def _is_slice(codec: str, kind: int) -> bool:
    return 1 <= kind <= 5 if codec == "h264" else kind < 32


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
        for kind, unit in _units(self._codec, data):
            if _is_slice(self._codec, kind):
                return
            if kind in _KINDS[self._codec]:
                yield kind, unit.rstrip(b"\x00")
