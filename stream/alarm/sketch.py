"""Reduces features to a few hundred numbers that preserve their distances.

A count sketch (Charikar 2002; "feature hashing", Weinberger 2009): each channel is added with a sign to one of `size`
sums. Squared distances are preserved within about 1 / sqrt(size / 2): 9 % for 256.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.arrays import FloatArray


def sketch(feature: FloatArray, size: int, power: float) -> FloatArray:
    """A feature (C,) float32 as float32 (min(C, size),), after taking magnitudes to `power` and scaling to length 1.

    Rounded to float16, as it is remembered. Raises ValueError for another shape and for numbers that are not finite.
    """
    values: NDArray[np.float64] = np.asarray(feature, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"feature has shape {values.shape}, expected (channels,)")
    if not np.isfinite(values).all():
        raise ValueError("feature contains numbers that are not finite")
    values = np.sign(values) * np.abs(values) ** power
    length = float(np.sqrt(np.square(values).sum()))
    values = values / length if length > 0 else values
    if len(values) > size:
        places, signs = _hashes(len(values), size)
        values = np.bincount(places, signs * values, size).astype(np.float64)
    return values.astype(np.float16).astype(np.float32)


def distances(one: FloatArray, many: FloatArray) -> FloatArray:
    """Cosine distances of a sketch (D,) to sketches (N, D), float32 (N,): half the squared distance."""
    return np.square(many - one).sum(axis=1, dtype=np.float32) * np.float32(0.5)


@lru_cache(maxsize=8)
def _hashes(channels: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The sum that each channel goes to, and its sign (multiplicative hashing, the same on every machine)."""
    mixed = np.arange(1, channels + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    places = (mixed >> np.uint64(8)) % np.uint64(size)
    signs = np.where(mixed & np.uint64(1), 1.0, -1.0)
    return places.astype(np.intp), signs
