"""The motion gate: decides whether a clip differs from the last one that passed the backbone. Pure, except for
numpy.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.geometry import SIDE

_BLOCK: Final = 16
_BLOCKS: Final = SIDE // _BLOCK


class MotionGate:
    """Compares a clip with the remembered one by the mean colours of 14 x 14 blocks in every frame.

    A clip counts as like the remembered one if no block of any frame differs by more than `threshold` grey levels from
    its mean over the remembered clip. Slow movement adds up, because the remembered clip stays until another one
    differs from it. At threshold 0, no clip is like another.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._clip = -1
        self._blocks: FloatArray | None = None

    def representative(self, clip: int, pictures: UInt8Array) -> int:
        """The number of the clip, or of the remembered clip if it is like it; `pictures` (crops, 16, 224, 224, 3).

        A clip that differs is then remembered.
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
