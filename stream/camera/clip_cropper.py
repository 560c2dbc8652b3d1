"""The model's view of the last 16 frames of a camera: cut frame by frame, or clip by clip (`focus`)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from av import VideoFrame

from configs.sizes import CLIP_LENGTH
from engine.arrays import UInt8Array
from engine.focus import COLUMNS, LOOKED_AT, ROWS, WHOLE, Region, cut_clip, find_region, small_clip
from engine.geometry import SIDE, crops_of, is_per_clip
from stream.camera.view import Cropper, View, hidden, widened

Focus = tuple[float, float, float, float]
"""A part of the camera's image: x, y, width, height, in fractions."""


class Seen(NamedTuple):
    """What is known of a clip in the ring before it is cut.

    oldest: the position of its first frame.
    region: what geometry `focus` cuts of each frame, else None.
    focus: the same, in the camera's image.
    small: its small grey frames, uint8 (6, rows, 64), by which one sees what moves; crops are below each other.
    """

    oldest: int
    region: Region | None
    focus: Focus | None
    small: UInt8Array


class ClipCropper:
    """Holds the newest 16 frames of a camera in a ring, and writes them as clips.

    If the geometry is chosen for each clip, decoded frames are held, 1.4 MB each at 1280x720.
    """

    def __init__(self, view: View, geometry: str) -> None:
        self._view = view
        self._cropper = Cropper(view, geometry)
        self._frames: list[VideoFrame | None] | None = [None] * CLIP_LENGTH if is_per_clip(geometry) else None
        self._crops: UInt8Array = np.empty(
            (crops_of(geometry), CLIP_LENGTH, SIDE, SIDE, 3) if self._frames is None else (0,), np.uint8
        )
        self._masks = _FocusMasks(view)

    def put(self, position: int, frame: VideoFrame) -> None:
        """Store the frame at `position` 0 to 15 of the ring."""
        if self._frames is None:
            self._cropper.write(frame, self._crops[:, position])
        else:
            self._frames[position] = self._cropper.cut(frame)
            self._masks.size = (frame.width, frame.height)

    def write(self, oldest: int, out: UInt8Array) -> Seen:
        """Look at the clip that begins at `oldest` in the ring, and cut it into `out`."""
        seen = self.look(oldest)
        self.cut(seen, out)
        return seen

    def look(self, oldest: int) -> Seen:
        """Look at the clip that begins at `oldest` in the ring."""
        if self._frames is None:
            return Seen(oldest, None, None, _small(self._crops, oldest))
        frames = self._in_order(self._frames, oldest)
        small = small_clip(frames, self._masks.blocks())
        region = find_region(small, frames[0].width, frames[0].height)
        return Seen(oldest, region, self._of_the_whole(region), small)

    def cut(self, seen: Seen, out: UInt8Array) -> None:
        """Write a clip that is still in the ring into `out`: uint8 (crops, 16, 224, 224, 3), RGB."""
        oldest, region = seen.oldest, seen.region
        if self._frames is None or region is None:
            later = CLIP_LENGTH - oldest
            out[:, :later], out[:, later:] = self._crops[:, oldest:], self._crops[:, :oldest]
            return
        cut_clip(self._in_order(self._frames, oldest), region, out)
        self._masks.apply(region, out)

    @staticmethod
    def _in_order(ring: list[VideoFrame | None], oldest: int) -> list[VideoFrame]:
        frames = [frame for frame in (*ring[oldest:], *ring[:oldest]) if frame is not None]
        if len({(frame.width, frame.height) for frame in frames}) > 1:  # the image size changed within the clip
            return [frame.reformat(frames[-1].width, frames[-1].height) for frame in frames]
        return frames

    def _of_the_whole(self, region: Region) -> Focus:
        seen = self._view.region
        if seen is None:
            return region.x, region.y, region.w, region.h
        return (
            seen.x + region.x * seen.width, seen.y + region.y * seen.height,
            region.w * seen.width, region.h * seen.height,
        )  # fmt: skip


def _small(crops: UInt8Array, oldest: int) -> UInt8Array:
    """The small grey frames of the clip that begins at `oldest` in a ring (crops, 16, 224, 224, 3)."""
    frames = [
        np.concatenate([cv2.resize(cv2.cvtColor(crop[(oldest + index) % CLIP_LENGTH], cv2.COLOR_RGB2GRAY),
                                   (COLUMNS, ROWS), interpolation=cv2.INTER_AREA) for crop in crops])
        for index in LOOKED_AT
    ]  # fmt: skip
    return np.stack(frames).astype(np.uint8)


class _FocusMasks:
    """The masks for a view in which each clip is cut differently: drawn once for each image size."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.size = (0, 0)
        self._drawn_for = (0, 0)
        self._drawn: UInt8Array = np.empty((0, 0), np.uint8)
        self._blocks: UInt8Array = np.empty((0, 0), np.uint8)

    def blocks(self) -> UInt8Array | None:
        """uint8 (ROWS, COLUMNS), above 0 where a block is masked; None without masks."""
        if not self._view.hides:
            return None
        if self._drawn_for != self.size:
            left, top, right, bottom = self._view.box(*self.size)
            self._drawn = widened(hidden(self._view, *self.size))[top:bottom, left:right]
            blocks = cv2.resize(self._drawn, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
            self._blocks = np.asarray(blocks, np.uint8)
            self._drawn_for = self.size
        return self._blocks

    def apply(self, region: Region, out: UInt8Array) -> None:
        """Black out the masked parts of a clip cut to `region`: uint8 (1, 16, 224, 224, 3)."""
        if not self._view.hides:
            return
        height, width = self._drawn.shape
        left, top, right, bottom = region.pixels(width, height) if region != WHOLE else (0, 0, width, height)
        masked = cv2.resize(self._drawn[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        keep = (widened(np.asarray(masked, np.uint8)) == 0).astype(np.uint8)
        np.multiply(out, keep[:, :, None], out=out)
