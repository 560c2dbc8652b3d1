"""What every backend is: two graphs, arrays in, arrays out."""

from __future__ import annotations

from typing import Protocol

from engine.arrays import FloatArray, UInt8Array


class Backend(Protocol):
    """Runs a bundle's backbone and head on one device. Made by its class's `open`, ended by `close`."""

    name: str

    def features(self, clips: UInt8Array) -> FloatArray:
        """uint8 (N, 16, 224, 224, 3) RGB -> float32 (N, C)."""
        ...

    def scores(self, windows: FloatArray) -> FloatArray:
        """float32 (N, T, crops, C) -> float32 (N, T)."""
        ...

    def close(self) -> None:
        """Free what the backend holds."""
        ...
