"""The model's view of the last 16 frames of a camera: cut frame by frame, or clip by clip (`focus`)."""

from __future__ import annotations

import numpy as np
from av import VideoFrame

from configs.sizes import CLIP_LENGTH
from engine.arrays import UInt8Array
from engine.focus import COLUMNS, ROWS, WHOLE, Region, focus_clip
from engine.geometry import SIDE, crops_of, is_per_clip
from stream.camera.view import Cropper, View, hidden, widened


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

    def write(self, oldest: int, out: UInt8Array) -> tuple[float, float, float, float] | None:
        """Write the clip that begins at `oldest` in the ring into `out`: uint8 (crops, 16, 224, 224, 3), RGB.

        Returns the square that `focus` cut, as x, y, width, height in fractions of the image, or None.
        """
        if self._frames is None:
            later = CLIP_LENGTH - oldest
            out[:, :later], out[:, later:] = self._crops[:, oldest:], self._crops[:, :oldest]
            return None
        frames = [frame for frame in (*self._frames[oldest:], *self._frames[:oldest]) if frame is not None]
        if len({(frame.width, frame.height) for frame in frames}) > 1:  # the image size changed within the clip
            frames = [frame.reformat(frames[-1].width, frames[-1].height) for frame in frames]
        region = focus_clip(frames, out, self._masks.blocks())
        self._masks.apply(region, out)
        return self._of_the_whole(region)

    def _of_the_whole(self, region: Region) -> tuple[float, float, float, float]:
        seen = self._view.region
        if seen is None:
            return region.x, region.y, region.w, region.h
        return (
            seen.x + region.x * seen.width, seen.y + region.y * seen.height,
            region.w * seen.width, region.h * seen.height,
        )  # fmt: skip


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
            import cv2  # imported only for cameras with masks

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
        import cv2

        height, width = self._drawn.shape
        left, top, right, bottom = region.pixels(width, height) if region != WHOLE else (0, 0, width, height)
        masked = cv2.resize(self._drawn[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        keep = (widened(np.asarray(masked, np.uint8)) == 0).astype(np.uint8)
        np.multiply(out, keep[:, :, None], out=out)
