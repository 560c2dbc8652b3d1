"""Pictures to crops."""

from __future__ import annotations

import av
import numpy as np
import pytest

from engine.arrays import UInt8Array
from engine.geometry import crops_of, seen, write_crops


def crops(picture: UInt8Array, geometry: str) -> UInt8Array:
    out = np.zeros((crops_of(geometry), 224, 224, 3), np.uint8)
    write_crops(av.VideoFrame.from_ndarray(picture, format="rgb24"), geometry, out)
    return out


def striped(width: int, height: int) -> UInt8Array:
    """Red grows from left to right, green from top to bottom."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    picture[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return picture


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (224, 224), (100, 80), (1921, 1081)])
def test_squash_sees_all_four_edges(size: tuple[int, int]) -> None:
    (crop,) = crops(striped(*size), "squash")
    assert crop[:, 0, 0].max() < 8
    assert crop[:, -1, 0].min() > 247
    assert crop[0, :, 1].max() < 8
    assert crop[-1, :, 1].min() > 247


def test_ends_keep_proportions_and_see_both_ends() -> None:
    first, second = crops(striped(640, 360), "ends")
    assert first[:, 0, 0].max() < 8
    assert second[:, -1, 0].min() > 247
    # a square of 360 of 640 columns
    assert first[:, -1, 0].mean() == pytest.approx(255 * 360 / 640, abs=3)


def test_center_is_the_middle() -> None:
    (crop,) = crops(striped(640, 360), "center")
    assert crop[112, 112, 0] == pytest.approx(127, abs=3)
    assert crop[112, 0, 0] == pytest.approx(255 * (0.5 - 157.5 / 640), abs=4)


@pytest.mark.parametrize(("geometry", "least"), [("squash", 0.95), ("ends", 0.95), ("center", 0.42)])
def test_share_of_a_16_to_9_picture_that_is_seen(geometry: str, least: float) -> None:
    mask = np.zeros((360, 640), bool)
    for left, top, right, bottom in seen(geometry, 640, 360):
        mask[top:bottom, left:right] = True
    assert mask.mean() >= least
