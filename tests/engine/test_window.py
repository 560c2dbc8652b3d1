"""The window of one camera."""

from __future__ import annotations

import numpy as np
import pytest

from engine.window import FeatureWindow


def feature(value: float) -> np.ndarray:
    return np.full((2, 3), value, np.float32)


def test_grows_to_its_size_then_the_oldest_leaves() -> None:
    window = FeatureWindow(size=3)
    lengths = []
    for value in range(5):
        window.push(feature(value))
        lengths.append(len(window))
    assert lengths == [1, 2, 3, 3, 3]
    assert window.array().shape == (3, 2, 3)
    assert window.array()[:, 0, 0].tolist() == [2, 3, 4]


def test_reset_forgets() -> None:
    window = FeatureWindow()
    window.push(feature(1))
    window.reset()
    assert len(window) == 0
    with pytest.raises(ValueError, match="at least one"):
        window.array()


def test_where_clips_overlap_the_window_holds_them_end_to_end() -> None:
    window = FeatureWindow(size=3, every=4)
    seen = []
    for n in range(14):
        window.push(np.full((1, 1), n, np.float32))
        seen.append(window.array()[:, 0, 0].tolist())
        assert len(window) == len(seen[-1])
    assert seen[:6] == [[0], [1], [2], [3], [0, 4], [1, 5]]
    assert seen[-3:] == [[3, 7, 11], [4, 8, 12], [5, 9, 13]]
