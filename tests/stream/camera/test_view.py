"""What the model sees: nothing of what is masked, and of a region what it would see if that were all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from av import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arrays import UInt8Array
from engine.geometry import crops_of, write_crops
from stream.camera.view import Cropper, Polygon, Region, View, hidden

POLYGON: Polygon = ((0.3, 0.2), (0.62, 0.33), (0.41, 0.77))
REGION = Region(0.2, 0.1, 0.55, 0.6)


def noise(width: int, height: int, seed: int = 0) -> UInt8Array:
    """YUV 4:2:0 as cameras send it."""
    return np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)


def seen(view: View, yuv: UInt8Array, geometry: str = "squash") -> UInt8Array:
    out = np.empty((crops_of(geometry), 224, 224, 3), np.uint8)
    Cropper(view, geometry).write(VideoFrame.from_ndarray(yuv, format="yuv420p"), out)
    return out


def changed_within(yuv: UInt8Array, polygon: Polygon) -> UInt8Array:
    """The picture with every pixel of the polygon another, colour included."""
    height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [np.round(np.array(polygon) * (width, height)).astype(np.int32)], 1)
    coarse = inside.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3)) > 0
    out = yuv.copy()
    out[:height][inside > 0] ^= 0xFF
    for plane in np.split(out[height:].reshape(-1), 2):
        plane.reshape(coarse.shape)[coarse] ^= 0xFF
    return out


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (1920, 1080), (160, 120)])
@pytest.mark.parametrize("geometry", ["squash", "ends", "center"])
@pytest.mark.parametrize("region", [None, REGION])
def test_what_is_masked_moves_no_byte(size: tuple[int, int], geometry: str, region: Region | None) -> None:
    view = View(region, (POLYGON,))
    before = noise(*size)
    after = changed_within(before, POLYGON)
    assert (seen(View(region), before, geometry) != seen(View(region), after, geometry)).any()
    np.testing.assert_array_equal(seen(view, before, geometry), seen(view, after, geometry))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=6),
    st.sampled_from([(320, 240), (352, 288), (704, 576)]),
)
@settings(max_examples=30)
def test_so_it_is_for_any_polygon(corners: list[tuple[float, float]], size: tuple[int, int]) -> None:
    polygon = tuple(corners)
    before = noise(*size)
    np.testing.assert_array_equal(
        seen(View(masks=(polygon,)), before), seen(View(masks=(polygon,)), changed_within(before, polygon))
    )


def test_a_mask_is_black_to_its_border_and_all_else_is_untouched() -> None:
    yuv = np.full((360 * 3 // 2, 640), 128, np.uint8)
    left_half: Polygon = ((0, 0), (0.5, 0), (0.5, 1), (0, 1))
    masked, whole = seen(View(masks=(left_half,)), yuv)[0], seen(View(), yuv)[0]
    assert not masked[:, :112].any()
    # beyond the border: two pixels of the picture, two of the crop, and the pixel that both fall in
    np.testing.assert_array_equal(masked[:, 116:], whole[:, 116:])


def test_masks_that_overlap_add_up() -> None:
    square: Polygon = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
    twice = seen(View(masks=(square, square)), noise(320, 240))
    np.testing.assert_array_equal(twice, seen(View(masks=(square,)), noise(320, 240)))
    assert not twice[0, 60:160, 60:160].any()


def test_a_region_is_what_a_camera_of_that_picture_would_give() -> None:
    yuv = noise(640, 360)
    left, top, right, bottom = REGION.pixels(640, 360)
    assert (left, top, right, bottom) == (128, 36, 480, 252)
    height = bottom - top
    planes = [yuv[:360][top:bottom, left:right]]
    for plane in np.split(yuv[360:].reshape(-1), 2):
        planes.append(plane.reshape(180, 320)[top // 2 : bottom // 2, left // 2 : right // 2])
    cut = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, right - left)
    expected = np.empty((1, 224, 224, 3), np.uint8)
    write_crops(VideoFrame.from_ndarray(np.ascontiguousarray(cut), format="yuv420p"), "squash", expected)
    np.testing.assert_array_equal(seen(View(REGION), yuv), expected)


def test_another_size_in_the_stream_moves_mask_and_region() -> None:
    cropper = Cropper(View(REGION, (POLYGON,)), "squash")
    for size in ((320, 240), (640, 480), (320, 240)):
        out = np.empty((1, 224, 224, 3), np.uint8)
        cropper.write(VideoFrame.from_ndarray(noise(*size), format="yuv420p"), out)
        np.testing.assert_array_equal(out, seen(View(REGION, (POLYGON,)), noise(*size)))


def test_a_region_of_a_tiny_picture_is_all_of_it() -> None:
    assert Region(0.5, 0.5, 0.05, 0.05).pixels(32, 24) == (0, 0, 32, 24)


def test_only_here_is_the_mask_of_all_the_rest() -> None:
    zone: Polygon = ((0.5, 0), (1, 0), (1, 1), (0.5, 1))
    rest: Polygon = ((0, 0), (0.5, 0), (0.5, 1), (0, 1))
    picture = noise(320, 240)
    only, masked = seen(View(only_here=(zone,)), picture), seen(View(masks=(rest,)), picture)
    assert not only[0][:, :110].any()
    np.testing.assert_array_equal(only[0][:, 118:], masked[0][:, 118:])
    both = hidden(View(masks=(rest,), only_here=(zone, rest)), 320, 240)
    np.testing.assert_array_equal(both, hidden(View(masks=(rest,)), 320, 240))
    assert hidden(View(only_here=(zone, rest)), 320, 240).mean() < 1
