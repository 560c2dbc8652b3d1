"""Writes the clips of one connection, and says which earlier clip stands for one in which nothing moves."""

from __future__ import annotations

from engine.arrays import UInt8Array
from stream.camera.clip_cropper import ClipCropper, Focus
from stream.camera.clips import Clip
from stream.camera.still_gate import StillGate


class ClipWriter:
    """A clip for which another one stands is not cut: it takes the images of that one, from which the backbone would
    compute the same feature.
    """

    def __init__(self, cropper: ClipCropper, gate: StillGate) -> None:
        self._cropper = cropper
        self._gate = gate
        self._still: tuple[UInt8Array, Focus | None] | None = None  # the clip that the gate remembers

    def write(self, clip: Clip, oldest: int, out: UInt8Array) -> tuple[int | None, Focus | None]:
        """Write the clip that begins at `oldest` in the ring into `out`: uint8 (crops, 16, 224, 224, 3), RGB.

        Returns the number of the clip that stands for it, if any, and the square that was cut (`Seen.focus`).
        """
        seen = self._cropper.look(oldest)
        like = self._gate.like(clip.clip, clip.end, seen.small)
        if like is not None and self._still is not None:
            out[:], focus = self._still
            return like, focus
        self._cropper.cut(seen, out)
        self._still = (out.copy(), seen.focus) if self._gate.remembers else None
        return None, seen.focus
