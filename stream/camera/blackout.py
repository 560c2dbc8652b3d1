"""Blackens what a view hides in whole images, before they are saved."""

from __future__ import annotations

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from engine.arrays import UInt8Array
from stream.camera.view import View, hidden, widened

_BLACK, _GREY = 16, 128  # brightness, and both colours


class Blackout:
    """`view` without masks: images stay as they are. The hidden part is drawn once for each image size."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._size = (0, 0)
        self._drawn: NDArray[np.bool_] = np.empty((0, 0), np.bool_)
        self._planes: NDArray[np.bool_] = np.empty((0, 0), np.bool_)
        self._black: UInt8Array = np.empty((0, 0), np.uint8)

    @property
    def hides(self) -> bool:
        return self._view.hides

    def picture(self, picture: UInt8Array) -> None:
        """Blacken an image, (height, width, 3), in place."""
        if self._view.hides:
            height, width = picture.shape[:2]
            self._draw(width, height)
            picture[self._drawn] = 0

    def frame(self, frame: VideoFrame, width: int, height: int) -> VideoFrame:
        """A blackened copy of that size, both sides even, as yuv420p."""
        planes = frame.reformat(width, height, "yuv420p").to_ndarray()
        self._draw(width, height)
        np.copyto(planes, self._black, where=self._planes)
        return VideoFrame.from_ndarray(planes, format="yuv420p")

    def _draw(self, width: int, height: int) -> None:
        if self._size == (width, height):
            return
        self._size = (width, height)
        self._drawn = drawn = widened(hidden(self._view, width, height)) > 0
        if width % 2 == height % 2 == 0:
            colour = drawn.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3)).ravel()  # one for four pixels
            self._planes = np.concatenate([drawn.ravel(), colour, colour]).reshape(-1, width)
            self._black = np.full(self._planes.shape, _GREY, np.uint8)
            self._black[:height] = _BLACK
