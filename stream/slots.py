"""Clips handed from a decoder process to the service in shared memory: no frame is copied or pickled.

The service creates a ring and owns it; the decoder attaches. A slot belongs to the decoder while it is free or
being filled, and to the service from `ClipReady` until its number is sent back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from engine.arrays import UInt8Array
from engine.geometry import SIDE
from stream.clips import CLIP_LENGTH


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
        """A new ring, owned by the caller."""
        shape = RingName("", slots, crops).shape
        memory = SharedMemory(create=True, size=prod(shape))
        return cls(memory, RingName(memory.name, slots, crops), owner=True)

    @classmethod
    def attach(cls, name: RingName) -> ClipRing:
        """The ring that another process created."""
        return cls(SharedMemory(name.name), name, owner=False)

    def close(self) -> None:
        """Let go of the memory; the owner also frees it."""
        del self.clips
        self._memory.close()
        if self._owner:
            self._memory.unlink()
