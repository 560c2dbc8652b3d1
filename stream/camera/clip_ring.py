"""Passes clips from a decoder process to the service in shared memory, without copying or pickling frames.

The service creates a ring and passes it to the decoder as an argument of its process. A slot belongs to the decoder
while it is free, and to the service from `ClipReady` until its number is sent back. The memory has no name, so it is
freed when the last process that uses it ends, however it ends.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from math import prod
from multiprocessing.reduction import DupFd
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.arrays import UInt8Array
from engine.geometry import SIDE
from stream.base.errors import StreamError
from stream.camera.live_picture import SIZE, LivePicture


class ClipRing:
    """uint8 (slots, crops, 16, 224, 224, 3) in shared memory, and behind it the `live` image. Can be pickled only for
    a process that is being started.
    """

    def __init__(self, file: int, slots: int, crops: int) -> None:
        self.slots, self.crops = slots, crops
        self._file = file
        self._memory = mmap.mmap(file, _size(slots, crops))
        self.clips: UInt8Array = np.ndarray(_shape(slots, crops), np.uint8, self._memory)
        self.live = LivePicture(self._memory, prod(_shape(slots, crops)))

    @classmethod
    def create(cls, slots: int, crops: int) -> ClipRing:
        """A new ring. Raises StreamError if there is not enough memory."""
        size = _size(slots, crops)
        file = -1
        try:
            file = _without_a_name()
            os.ftruncate(file, size)
            if sys.platform == "linux":  # allocate now: if memory is short, writing there would kill the process
                os.posix_fallocate(file, 0, size)
            return cls(file, slots, crops)
        except OSError as error:
            if file >= 0:
                os.close(file)
            raise StreamError(f"shared memory: {size >> 20} MB for clips: {error.strerror}") from None

    def __reduce__(self) -> tuple[Callable[..., ClipRing], tuple[Any, int, int]]:
        return _handed_over, (DupFd(self._file), self.slots, self.crops)

    def close(self) -> None:
        """Release the memory."""
        del self.clips
        self._memory.close()
        os.close(self._file)


def _shape(slots: int, crops: int) -> tuple[int, int, int, int, int, int]:
    return (slots, crops, CLIP_LENGTH, SIDE, SIDE, 3)


def _size(slots: int, crops: int) -> int:
    return prod(_shape(slots, crops)) + SIZE


def _without_a_name() -> int:
    if sys.platform == "linux":
        return os.memfd_create("mgfn-clips")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _handed_over(file: Any, slots: int, crops: int) -> ClipRing:
    return ClipRing(file.detach(), slots, crops)
