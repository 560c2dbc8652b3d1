"""Clips handed from a decoder process to the service in shared memory: no frame is copied or pickled.

The service creates a ring and owns it; the decoder attaches. A slot belongs to the decoder while it is free, and to
the service from `ClipReady` until its number is sent back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Final

import numpy as np

from engine.arrays import UInt8Array
from engine.geometry import SIDE
from stream.clips import CLIP_LENGTH
from stream.errors import StreamError

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- the kernel's (Linux)


@dataclass(frozen=True)
class RingName:
    """What a decoder needs to attach to its ring."""

    name: str
    slots: int
    crops: int

    @property
    def shape(self) -> tuple[int, int, int, int, int, int]:
        return (self.slots, self.crops, CLIP_LENGTH, SIDE, SIDE, 3)


class ClipRing:
    """uint8 (slots, crops, 16, 224, 224, 3) in shared memory."""

    def __init__(self, memory: SharedMemory, name: RingName, *, owner: bool) -> None:
        self.name = name
        self._memory = memory
        self._owner = owner
        self.clips: UInt8Array = np.ndarray(name.shape, np.uint8, memory.buf)

    @classmethod
    def create(cls, slots: int, crops: int) -> ClipRing:
        """A new ring, owned by the caller. Raises StreamError where shared memory has no room for it."""
        shape = RingName("", slots, crops).shape
        memory = SharedMemory(create=True, size=prod(shape))
        _reserve(memory)
        return cls(memory, RingName(memory.name, slots, crops), owner=True)

    @classmethod
    def attach(cls, name: RingName) -> ClipRing:
        """The ring that another process created."""
        return cls(SharedMemory(name.name), name, owner=False)

    def put(self, slot: int, pictures: UInt8Array, oldest: int) -> None:
        """Fill a slot with pictures (crops, 16, 224, 224, 3) that lie in a circle from `oldest` on."""
        later = CLIP_LENGTH - oldest
        self.clips[slot][:, :later] = pictures[:, oldest:]
        self.clips[slot][:, later:] = pictures[:, :oldest]

    def close(self) -> None:
        """Let go of the memory; the owner also frees it."""
        del self.clips
        self._memory.close()
        if self._owner:
            self._memory.unlink()


def _reserve(memory: SharedMemory) -> None:
    """Take the pages now: where there are none, whoever wrote there later would be killed (SIGBUS)."""
    if not (file := _SHARED_MEMORY / memory.name).exists():
        return
    try:
        with file.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, memory.size)
    except OSError as error:
        memory.close()
        memory.unlink()
        raise StreamError(
            f"shared memory: {memory.size >> 20} MB for clips: {error.strerror} (a container takes --shm-size)"
        ) from None
