"""The current image of a camera, for those who look: in the shared memory of its clips, behind them.

The service says until when somebody looks; a decoder writes images only until then, and otherwise reads one number per
frame. What it writes is passed on to browsers as it is, and read by nobody else.
"""

from __future__ import annotations

import mmap
import struct
from typing import Final, NamedTuple

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import VideoReformatter

from engine.arrays import UInt8Array
from stream.camera.view import View, hidden, widened

EVERY: Final = 0.2  # seconds
STILL_EVERY: Final = 2.0
WIDTH: Final = 640
_MOST: Final = 256 << 10  # bytes of an image
_QUALITY: Final = 75
# written by the service: monotonic times until which somebody watches live, and until which somebody looks now and then
_WATCHED: Final = struct.Struct("=dd")
# number of the image, odd while it is being written; its bytes; when it was taken
_WRITTEN: Final = struct.Struct("=QId")
_HEADER: Final = _WATCHED.size + _WRITTEN.size
SIZE: Final = _HEADER + _MOST


class Shown(NamedTuple):
    """An image as a JPEG, its number, and the monotonic time at which it was taken."""

    number: int
    jpeg: bytes
    at: float


class LivePicture:
    """The memory, from `offset` on. After the memory was closed, nothing is written, and there is no image."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self._memory = memory
        self._offset = offset

    def watch(self, until: float, *, still: bool = False) -> None:
        """Somebody looks until this monotonic time; `still`: an image every two seconds is enough."""
        live, now_and_then = _WATCHED.unpack(self._got(0, _WATCHED.size))
        self._put(0, _WATCHED.pack(live, until) if still else _WATCHED.pack(until, now_and_then))

    def every(self, now: float) -> float | None:
        """Seconds between the images that are wanted; None: nobody looks."""
        live, now_and_then = _WATCHED.unpack(self._got(0, _WATCHED.size))
        return EVERY if now < live else STILL_EVERY if now < now_and_then else None

    def write(self, jpeg: bytes, at: float) -> None:
        """The next image, taken at monotonic time `at`; one that is too large is left out."""
        if len(jpeg) > _MOST:
            return
        number, _, _ = self._written()
        number += number % 2  # a decoder ended while it wrote
        self._put(_WATCHED.size, _WRITTEN.pack(number + 1, 0, at))
        self._put(_HEADER, jpeg)
        self._put(_WATCHED.size, _WRITTEN.pack(number + 2, len(jpeg), at))

    def read(self) -> Shown | None:
        """The newest image; None if there is none, or if it is just being written."""
        try:
            written = number, size, at = self._written()
            if number % 2 or not 0 < size <= _MOST:
                return None
            jpeg = self._got(_HEADER, size)
            return Shown(number, jpeg, at) if self._written() == written else None
        except ValueError:  # closed
            return None

    def _written(self) -> tuple[int, int, float]:
        number, size, at = _WRITTEN.unpack(self._got(_WATCHED.size, _WRITTEN.size))
        return number, size, at

    def _put(self, at: int, content: bytes) -> None:
        self._memory[self._offset + at : self._offset + at + len(content)] = content

    def _got(self, at: int, size: int) -> bytes:
        return self._memory[self._offset + at : self._offset + at + size]


class LiveView:
    """Used by a decoder: shows frames as the model may see them, without what is masked, and within the region."""

    def __init__(self, picture: LivePicture, view: View) -> None:
        self._picture = picture
        self._view = view
        self._last = float("-inf")
        self._hidden: UInt8Array | None = None

    def moves(self, now: float) -> bool:
        """Whether somebody looks who wants every image."""
        return self._picture.every(now) == EVERY

    def offer(self, frame: VideoFrame, now: float) -> None:
        """A new frame at monotonic time `now`."""
        every = self._picture.every(now)
        if every is None or now < self._last + every:
            return
        self._last = now
        self._picture.write(self._jpeg(frame), now)

    def _jpeg(self, frame: VideoFrame) -> bytes:
        width = min(WIDTH, frame.width)
        height = max(1, round(frame.height * width / frame.width))
        small = VideoReformatter().reformat(frame, width, height, format="bgr24")  # the frame's own is in use elsewhere
        picture = np.ascontiguousarray(small.to_ndarray(), dtype=np.uint8)
        if self._view.hides:
            if self._hidden is None or self._hidden.shape != picture.shape[:2]:
                self._hidden = widened(hidden(self._view, width, height))
            picture[self._hidden > 0] = 0
        left, top, right, bottom = self._view.box(width, height)
        seen = np.ascontiguousarray(picture[top:bottom, left:right])
        done, encoded = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return encoded.tobytes() if done else b""
