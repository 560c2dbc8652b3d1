"""The thumbnails of a camera's window: the right ones, and always in the same places."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.geometry import SIDE
from stream.camera.messages import ClipReady
from stream.camera.view import View
from stream.watch.clip_window import ClipWindow

FEATURE = np.zeros((1, 4), np.float32)


def push(window: ClipWindow, *numbers: int, connection: int = 0) -> None:
    """Clips whose pictures show their number."""
    for number in numbers:
        window.begin_connection(connection)
        ready = ClipReady(connection, number, float(number), number + 0.64, 0.0, 0)
        window.push(ready, FEATURE, np.full((SIDE, SIDE, 3), number, np.uint8))


def shown(window: ClipWindow) -> list[int]:
    """The numbers on the thumbnails of an explanation, whose times must be of the same clips."""

    def nothing(features: FloatArray) -> FloatArray:
        return np.zeros(len(features), np.float32)

    found = window.explanation(0.5, nothing, "", View(), None)
    numbers = [int(thumbnail[-1, -1, -1]) for thumbnail in found.thumbnails]
    assert [start for start, _ in found.times.tolist()] == numbers
    return numbers


@pytest.mark.parametrize("every", [1, 4])
def test_an_explanation_shows_the_clips_of_its_window(every: int) -> None:
    window = ClipWindow(every)
    push(window, 7)
    assert shown(window) == [7]
    push(window, *range(8, 200))
    assert shown(window) == list(range(199 - 31 * every, 200, every))
    window.take_back()
    push(window, 250)
    assert shown(window)[-2:] == [198 if every == 1 else 195, 250]
    push(window, 3, 4, connection=1)
    assert shown(window) == ([3, 4] if every == 1 else [4])


def test_a_camera_that_goes_away_leaves_no_gaps_in_the_heap() -> None:
    window = ClipWindow(1)
    tracemalloc.start()
    try:
        push(window, *range(40))
        full, _ = tracemalloc.get_traced_memory()
        window.begin_connection(1)
        empty, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert full - empty < 40_000  # one thumbnail has 37,632 bytes, and there are 32
