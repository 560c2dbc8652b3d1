"""The interface of all backends: two graphs, arrays in, arrays out."""

from __future__ import annotations

from typing import Literal, Protocol

from engine.arrays import FloatArray, UInt8Array

Form = Literal["float32", "fp16", "int8"]
"""Arithmetic of an artefact: as PyTorch trained it, half precision, or quantised to eight bits."""


class Backend(Protocol):
    """Runs the backbone and head of a bundle on one device. Created by `open_backend`, ended by `close`."""

    @property
    def name(self) -> str:
        """The name in logs, events and tables."""
        ...

    @property
    def batch(self) -> int:
        """How many clips of different cameras to process together, if so many are ready."""
        ...

    @property
    def precision(self) -> Form:
        """The arithmetic of the backbone."""
        ...

    def features(self, clips: UInt8Array) -> FloatArray:
        """uint8 (N, 16, 224, 224, 3) RGB -> float32 (N, C). Raises OutOfMemoryError if the GPU is full."""
        ...

    def scores(self, windows: FloatArray) -> FloatArray:
        """float32 (N, T, crops, C) -> float32 (N, T). Raises OutOfMemoryError if the GPU is full."""
        ...

    def parts(self, windows: FloatArray) -> FloatArray:
        """float32 (N, T, crops, C) -> float32 (N, T, K): logits of the manifest's K kinds, at least one."""
        ...

    def close(self) -> None:
        """Free the resources of the backend."""
        ...
