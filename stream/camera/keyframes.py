"""Decoding only keyframes while nothing moves (`eco`): which packets wait, and which are decoded after all. Pure."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

MOST_HELD: Final = 100  # packets between two keyframes; where they are further apart, everything is decoded

P = TypeVar("P")


class KeyframesOnly(Generic[P]):
    """Holds back packets while `wanted`, from one keyframe to the next.

    refused: why packets were decoded all the same; empty if none were.
    skipped: how many packets will never be decoded.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.refused = ""
        self.skipped = 0
        self._held: list[P] = []
        self._too_far = False  # until the next keyframe

    def holds(self, packet: P, *, keyframe: bool, reordered: bool) -> bool:
        """Whether this packet need not be decoded now; `reordered`: the stream has B-frames."""
        if keyframe:
            self.skipped += len(self._held)
            self._held.clear()  # nothing that follows builds on them
            self._too_far = False
        if not self.wanted or keyframe or self._too_far:
            return False
        if reordered:
            self.refused = "it has B-frames"
            return False
        if len(self._held) >= MOST_HELD:
            self.refused = f"more than {MOST_HELD} frames lie between keyframes"
            self._too_far = True
            return False
        self._held.append(packet)
        return True

    def release(self) -> list[P]:
        """The packets that must be decoded before the next one, because it builds on them."""
        held, self._held = self._held, []
        return held
