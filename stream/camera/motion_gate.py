"""The motion gate: does a clip differ from the last one that passed the backbone? Pure but for numpy."""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.geometry import SIDE

_BLOCK: Final = 16
_BLOCKS: Final = SIDE // _BLOCK


class MotionGate:
    """Compares the means of 14 x 14 blocks, colour by colour, in every frame of a clip with those of the clip that it
    remembers.

    A clip is like that one while no block of any frame differs by more than `threshold` grey levels from its mean over
    the remembered clip. What moves slowly adds up: the remembered clip stays until another differs from it. At
    threshold 0 no clip is like another.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._clip = -1
        self._blocks: FloatArray | None = None

    def representative(self, clip: int, pictures: UInt8Array) -> int:
        """The clip's own number, or that of the remembered clip if it is like it; pictures (crops, 16, 224, 224, 3).

        A clip that differs is remembered from now on.
        """
        if not self._threshold:
            return clip
        blocks = _block_means(pictures)
        if self._blocks is not None and float(np.abs(blocks - self._blocks).max()) <= self._threshold:
            return self._clip
        self._clip, self._blocks = clip, blocks.mean(axis=1, keepdims=True)
        return clip


def _block_means(pictures: UInt8Array) -> FloatArray:
    """(crops, 16, 224, 224, 3) -> (crops, 16, 14, 14, 3)."""
    crops, frames = pictures.shape[:2]
    rows = np.add.reduce(pictures.reshape(crops * frames * _BLOCKS, _BLOCK, SIDE * 3), axis=1, dtype=np.uint16)
    blocks = np.add.reduce(rows.reshape(-1, _BLOCK, 3), axis=1, dtype=np.uint32)
    return (blocks / np.float32(_BLOCK * _BLOCK)).astype(np.float32).reshape(crops, frames, _BLOCKS, _BLOCKS, 3)
