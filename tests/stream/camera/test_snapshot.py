"""The image of an event."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from av import VideoFrame

from engine.arrays import UInt8Array
from stream.camera.snapshot import FocusRegion, snapshot


def shown(focus: FocusRegion | None) -> UInt8Array:
    """BGR."""
    grey = VideoFrame.from_ndarray(np.full((240, 320, 3), 100, np.uint8), format="rgb24")
    picture = cv2.imdecode(np.frombuffer(snapshot(grey, "door  0.91", focus), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def test_the_part_that_was_scored_is_outlined() -> None:
    picture, plain = shown((0.25, 0.25, 0.5, 0.5)), shown(None)
    yellow = (picture[..., 2].astype(int) - picture[..., 0]) > 100
    rows, columns = np.flatnonzero(yellow.any(axis=1)), np.flatnonzero(yellow.any(axis=0))
    assert abs(rows[0] - 60) <= 1
    assert abs(rows[-1] - 179) <= 1
    assert abs(columns[0] - 80) <= 1
    assert abs(columns[-1] - 239) <= 1
    assert not yellow[70:170, 90:230].any()
    np.testing.assert_array_equal(picture[222:], plain[222:])  # the text


@pytest.mark.parametrize("focus", [None, (0.0, 0.0, 1.0, 1.0)])
def test_the_whole_image_has_no_outline(focus: FocusRegion | None) -> None:
    picture = shown(focus)[:200].astype(int)
    assert np.abs(picture - 100).max() < 8
