"""Batches on a GPU: sizes that plans are made for, and a memory that is full."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.backends.batches import SIZES, GpuWithFallback, in_batches, split
from engine.errors import BackendError, OutOfMemoryError


@pytest.mark.parametrize(
    ("n", "batches"),
    [
        (0, []),
        (1, [(0, 1, 1)]),
        (3, [(0, 1, 1), (1, 1, 1), (2, 1, 1)]),
        (4, [(0, 4, 8)]),
        (8, [(0, 8, 8)]),
        (9, [(0, 8, 8), (8, 1, 1)]),
        (16, [(0, 16, 32)]),
        (33, [(0, 32, 32), (32, 1, 1)]),
        (70, [(0, 32, 32), (32, 32, 32), (64, 6, 8)]),
    ],
)
def test_split(n: int, batches: list[tuple[int, int, int]]) -> None:
    assert list(split(n)) == batches


def test_every_row_is_in_one_batch_that_is_at_least_half_full() -> None:
    for n in range(1, 200):
        parts = list(split(n))
        assert [row for start, count, _ in parts for row in range(start, start + count)] == list(range(n))
        assert all(size in SIZES and size / 2 <= count <= size for _, count, size in parts)


@pytest.mark.parametrize("n", [1, 5, 32, 45])
def test_in_batches_shows_the_network_known_sizes_and_keeps_the_order(n: int) -> None:
    seen: list[int] = []

    def run(batch: UInt8Array) -> FloatArray:
        seen.append(len(batch))
        return batch.astype(np.float32) * 2

    given = np.arange(3 * n, dtype=np.uint8).reshape(n, 3)
    np.testing.assert_array_equal(in_batches(run, given), given.astype(np.float32) * 2)
    assert set(seen) <= set(SIZES)


class Adder:
    """A backend that adds one, and has memory for `room` rows at a time."""

    batch = 1

    def __init__(self, name: str, room: int) -> None:
        self.name = name
        self.precision: Form = "float32"
        self.room = room
        self.seen: list[int] = []
        self.closed = False

    def features(self, clips: UInt8Array) -> FloatArray:
        self.seen.append(len(clips))
        if len(clips) > self.room:
            raise OutOfMemoryError(f"no room for {len(clips)}")
        return clips.astype(np.float32) + 1

    def scores(self, windows: FloatArray) -> FloatArray:
        return self.features(windows.astype(np.uint8))

    def parts(self, windows: FloatArray) -> FloatArray:
        return self.features(windows.astype(np.uint8))

    def close(self) -> None:
        self.closed = True


ROWS = np.arange(20, dtype=np.uint8)


def test_smaller_batches_where_the_gpu_is_full_said_once(caplog: pytest.LogCaptureFixture) -> None:
    gpu = Adder("gpu", room=3)
    backend = GpuWithFallback(gpu, lambda: pytest.fail("the CPU is not needed"))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(backend.features(ROWS), ROWS + 1)
        np.testing.assert_array_equal(backend.scores(ROWS.astype(np.float32)), ROWS + 1)
    assert gpu.seen == [20, 10, 5] + [2] * 20
    assert [r.getMessage() for r in caplog.records] == [
        "gpu: out of GPU memory with batch 20; using smaller batches from now on"
    ]


def test_the_cpu_where_not_even_one_fits_said_once(caplog: pytest.LogCaptureFixture) -> None:
    gpu, cpu = Adder("gpu", room=0), Adder("cpu", room=100)
    backend = GpuWithFallback(gpu, lambda: cpu)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(backend.features(ROWS[:2]), ROWS[:2] + 1)
        np.testing.assert_array_equal(backend.features(ROWS), ROWS + 1)
    assert (gpu.seen, cpu.seen, gpu.closed, backend.name) == ([2, 1], [2, 20], True, "cpu")
    assert [r.getMessage() for r in caplog.records][1:] == [
        "gpu: out of GPU memory with batch 1; using cpu on the CPU from now on"
    ]


def test_a_full_memory_on_the_cpu_and_other_errors_are_raised() -> None:
    backend = GpuWithFallback(Adder("gpu", room=0), lambda: Adder("cpu", room=0))
    with pytest.raises(OutOfMemoryError):
        backend.features(ROWS)

    class Broken(Adder):
        def features(self, clips: UInt8Array) -> FloatArray:  # noqa: ARG002
            raise BackendError("something else")

    with pytest.raises(BackendError, match="something else"):
        GpuWithFallback(Broken("gpu", 0), lambda: Adder("cpu", 9)).features(ROWS)
