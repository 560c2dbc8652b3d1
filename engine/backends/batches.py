"""Batches on a GPU: a few sizes for which graphs and plans exist, and what to do when its memory is full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Backend, Form
from engine.errors import OutOfMemoryError

SIZES: Final = (1, 8, 32)

_log = logging.getLogger(__name__)


def split(n: int) -> Iterator[tuple[int, int, int]]:
    """(start, count, size) of the batches in which `n` rows run: `count` rows in a batch of `size`, one of SIZES.

    A batch is at least half full, because a padded batch costs less than its rows one by one.
    """
    start = 0
    while start < n:
        size = max(size for size in SIZES if size <= max(1, 2 * (n - start)))
        count = min(size, n - start)
        yield start, count, size
        start += count


def in_batches(run: Callable[[NDArray[Any]], FloatArray], given: NDArray[Any]) -> FloatArray:
    """`run` over all rows of `given` (at least one), in batches of SIZES; the last row is used for padding."""
    parts: list[FloatArray] = []
    for start, count, size in split(len(given)):
        batch = given[start : start + count]
        if count < size:
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - count, axis=0)])
        parts.append(run(batch)[:count])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class GpuWithFallback:
    """A GPU backend that continues when GPU memory is full: with smaller batches, then on the CPU. Logged once."""

    def __init__(self, gpu: Backend, open_cpu: Callable[[], Backend]) -> None:
        self._backend = gpu
        self._open_cpu: Callable[[], Backend] | None = open_cpu
        self._largest: int | None = None

    @property
    def name(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def batch(self) -> int:
        return self._backend.batch

    @property
    def precision(self) -> Form:
        """The precision of the backend in use."""
        return self._backend.precision

    def features(self, clips: UInt8Array) -> FloatArray:
        return self._run(lambda backend, part: backend.features(part), clips)

    def scores(self, windows: FloatArray) -> FloatArray:
        return self._run(lambda backend, part: backend.scores(part), windows)

    def parts(self, windows: FloatArray) -> FloatArray:
        return self._run(lambda backend, part: backend.parts(part), windows)

    def close(self) -> None:
        self._backend.close()

    def _run(self, call: Callable[[Backend, NDArray[Any]], FloatArray], given: NDArray[Any]) -> FloatArray:
        parts: list[FloatArray] = []
        start = 0
        while start < len(given):
            part = given[start : start + (self._largest or len(given))]
            try:
                parts.append(call(self._backend, part))
            except OutOfMemoryError as error:
                self._give_way(len(part), error)
            else:
                start += len(part)
        return np.concatenate(parts)

    def _give_way(self, size: int, error: OutOfMemoryError) -> None:
        if self._open_cpu is None:
            raise error
        if size > 1:
            if self._largest is None:
                _log.warning("%s: out of GPU memory with batch %d; using smaller batches from now on", self.name, size)
            self._largest = size // 2
            return
        gpu, self._backend = self._backend, self._open_cpu()
        self._open_cpu = self._largest = None
        gpu_name = gpu.name
        gpu.close()
        _log.warning("%s: out of GPU memory with batch 1; using %s on the CPU from now on", gpu_name, self.name)
