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


def test_ten_crops_in_the_published_order() -> None:
    """A picture of the size that is cut needs no scaling: its pixels tell their column and row exactly."""
    picture = np.zeros((256, 340, 3), np.uint8)
    picture[..., 0] = np.arange(340) // 2
    picture[..., 1] = np.arange(256)[:, None]
    picture[..., 2] = np.arange(340) % 2
    mirrored = picture[:, ::-1]
    places = [
        (slice(0, 224), slice(0, 224)),  # top-left
        (slice(0, 224), slice(116, 340)),  # top-right
        (slice(16, 240), slice(58, 282)),  # centre
        (slice(32, 256), slice(0, 224)),  # bottom-left
        (slice(32, 256), slice(116, 340)),  # bottom-right
    ]
    expected = [whole[rows, columns] for whole in (picture, mirrored) for rows, columns in places]
    np.testing.assert_array_equal(crops(picture, "ten"), np.stack(expected))


@pytest.mark.parametrize("size", [(640, 360), (320, 240), (120, 500)])
def test_ten_crops_ignore_the_aspect_and_lie_where_they_are_said_to(size: tuple[int, int]) -> None:
    width, height = size
    for index, (crop, region) in enumerate(zip(crops(striped(*size), "ten"), seen("ten", *size), strict=True)):
        left, top, right, bottom = region
        ends = crop[112, [0, -1], 0].astype(float)
        assert ends[:: -1 if index >= 5 else 1] == pytest.approx([255 * left / width, 255 * right / width], abs=4)
        assert crop[[0, -1], 112, 1] == pytest.approx([255 * top / height, 255 * bottom / height], abs=4)


@pytest.mark.parametrize(("geometry", "least"), [("squash", 0.95), ("ends", 0.95), ("center", 0.42), ("ten", 1.0)])
def test_share_of_a_16_to_9_picture_that_is_seen(geometry: str, least: float) -> None:
    mask = np.zeros((360, 640), bool)
    for left, top, right, bottom in seen(geometry, 640, 360):
        mask[top:bottom, left:right] = True
    assert mask.mean() >= least
