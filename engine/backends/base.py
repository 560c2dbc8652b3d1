"""What every backend is: two graphs, arrays in, arrays out."""

from __future__ import annotations

from typing import Literal, Protocol

from engine.arrays import FloatArray, UInt8Array

Form = Literal["float32", "fp16", "int8"]
"""Arithmetic of an artefact: as PyTorch trained it, half precision, or quantised to eight bits."""


class Backend(Protocol):
    """Runs a bundle's backbone and head on one device. Made by `open_backend`, ended by `close`."""

    @property
    def name(self) -> str:
        """The name in logs, events and tables."""
        ...

    @property
    def batch(self) -> int:
        """How many clips of different cameras should go through together, if so many are ready."""
        ...

    @property
    def precision(self) -> Form:
        """Arithmetic of the backbone."""
        ...

    def features(self, clips: UInt8Array) -> FloatArray:
        """uint8 (N, 16, 224, 224, 3) RGB -> float32 (N, C). Raises OutOfMemoryError on a GPU that is full."""
        ...

    def scores(self, windows: FloatArray) -> FloatArray:
        """float32 (N, T, crops, C) -> float32 (N, T). Raises OutOfMemoryError on a GPU that is full."""
        ...

    def close(self) -> None:
        """Free what the backend holds."""
        ...
