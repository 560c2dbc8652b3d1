"""The still gate: decides whether a clip shows what the last one that passed the backbone shows. Pure.

It sees the small grey frames by which geometry `focus` finds what moves, in blocks of a sixty-fourth of the width.
"""

from __future__ import annotations

import zlib
from typing import Final

import cv2
import numpy as np

from engine.arrays import FloatArray, UInt8Array

MOST_IN_A_ROW: Final = 15  # clips that take an earlier feature: at least one in 16 is computed
LONGEST: Final = 15.0  # seconds, for cameras whose clips are long
_FEWEST: Final = 3  # number of blocks from which on something has changed
_FLOOR: Final = 0.5  # grey levels between two small frames that count as no change
_QUIET, _BACKGROUND = 0.1, 0.6  # shares of the blocks that are background: their changes are noise, and spread so far
_SCENE: Final = 2.5  # grey levels by which a block differs in another scene
_LIGHT: Final = 4.0  # grey levels by which the whole image may be brighter or darker


def moving_blocks(small: UInt8Array) -> int:
    """How many blocks of a clip move; `small` are its small grey frames, (n >= 2, rows, columns).

    Changes of the light are the same in all blocks, and are subtracted. Noise and the pulse of a keyframe are
    everywhere, and average out over three by three blocks. Rain counts as movement.
    """
    steps = np.diff(small.astype(np.float32), axis=0)
    steps -= np.median(steps, axis=(1, 2), keepdims=True)
    moved = np.sum([np.abs(cv2.blur(step, (3, 3))) for step in steps], axis=0)
    quiet, usual = np.quantile(moved, (_QUIET, _BACKGROUND))
    noise = 2 * usual - quiet
    return int(np.count_nonzero(moved > noise + _FLOOR * len(steps)))


def first_share(camera: str) -> float:
    """The `first` of a camera's gate, in (0, 1]: as different as possible from that of other names."""
    steps = MOST_IN_A_ROW + 1
    return (1 + zlib.crc32(camera.encode()) % steps) / steps


class StillGate:
    """Remembers the last clip that passed the backbone, if it was still.

    A clip takes its feature if it is still, too, shows the same scene, and was not preceded by MOST_IN_A_ROW others
    that did, or LONGEST seconds. Slow changes add up, because the remembered clip stays until another one differs from
    it. If not `enabled`, every clip is computed.

    first: the share of both limits that holds the first time. With a different share each, cameras that connect at the
    same time do not need the backbone at the same moments afterwards.
    """

    def __init__(self, *, enabled: bool, first: float = 1.0) -> None:
        self._enabled = enabled
        self._share = first
        self._clip = -1
        self._scene: FloatArray | None = None
        self._end = 0.0
        self._in_a_row = 0

    @property
    def remembers(self) -> bool:
        """Whether the last clip that had to be computed may stand for later ones."""
        return self._scene is not None

    def like(self, clip: int, end: float, small: UInt8Array) -> int | None:
        """The number of the remembered clip if its feature stands for this clip, too; None if it must be computed.

        `end` in seconds of media time; `small` as for `moving_blocks`.
        """
        if not self._enabled:
            return None
        still = moving_blocks(small) < _FEWEST
        scene = small.mean(axis=0, dtype=np.float32)
        if self._scene is not None and self._is_due(end):
            self._scene, self._share = None, 1.0
        if still and self._stands_for(scene, end):
            self._in_a_row += 1
            return self._clip
        self._clip, self._scene, self._end, self._in_a_row = clip, scene if still else None, end, 0
        return None

    def _is_due(self, end: float) -> bool:
        return self._in_a_row >= self._share * MOST_IN_A_ROW or end - self._end > self._share * LONGEST

    def _stands_for(self, scene: FloatArray, end: float) -> bool:
        if self._scene is None or self._scene.shape != scene.shape:
            return False
        if end < self._end:
            return False
        change = scene - self._scene
        light = float(np.median(change))
        return abs(light) <= _LIGHT and int(np.count_nonzero(np.abs(change - light) > _SCENE)) < _FEWEST
