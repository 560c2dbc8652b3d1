from __future__ import annotations

import numpy as np
import pytest
from av import VideoFrame

from engine.focus import COLUMNS, ROWS, WHOLE, find_region, focus_clip, region_of, small_grey
from engine.geometry import SIDE, scaled


def clip(width: int, height: int, patch: tuple[int, int, int, int] | None, seed: int = 0) -> list[VideoFrame]:
    """16 pictures of a textured scene; in `patch` (left, top, right, bottom) every picture is new noise."""
    rng = np.random.default_rng(seed)
    scene = np.repeat(np.repeat(rng.integers(40, 200, (height // 8, width // 8, 3)), 8, 0), 8, 1).astype(np.uint8)
    frames = []
    for _ in range(16):
        picture = scene.copy()
        if patch is not None:
            left, top, right, bottom = patch
            blocks = rng.integers(0, 255, ((bottom - top) // 8, (right - left) // 8, 3))
            picture[top:bottom, left:right] = np.repeat(np.repeat(blocks, 8, 0), 8, 1)
        frames.append(VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p"))
    return frames


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1280, 720), (720, 1280), (640, 640)])
def test_the_square_holds_what_moves(width: int, height: int) -> None:
    patch = (width // 2 // 8 * 8, height // 4 // 8 * 8, width // 2 // 8 * 8 + 64, height // 4 // 8 * 8 + 64)
    region = region_of(clip(width, height, patch))
    left, top, right, bottom = region.pixels(width, height)
    assert abs((right - left) - (bottom - top)) <= 2
    assert left <= patch[0] + 16
    assert top <= patch[1] + 16
    assert right >= patch[2] - 16
    assert bottom >= patch[3] - 16
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) < min(width, height)


def test_a_still_scene_is_shown_whole() -> None:
    assert region_of(clip(640, 360, None)) == WHOLE


def test_a_picture_that_moves_everywhere_is_shown_whole() -> None:
    assert region_of(clip(640, 360, (0, 0, 640, 360))) == WHOLE


def test_noise_alone_is_shown_whole() -> None:
    rng = np.random.default_rng(3)
    small = np.clip(rng.normal(100, 1.0, (6, ROWS, COLUMNS)), 0, 255).astype(np.uint8)
    assert find_region(small, 640, 360) == WHOLE


def test_movement_under_a_mask_does_not_draw_the_square() -> None:
    frames = clip(640, 360, (8, 8, 136, 136))
    hidden = np.zeros((ROWS, COLUMNS), np.uint8)
    hidden[:16, :16] = 255
    assert region_of(frames) != WHOLE
    assert region_of(frames, hidden) == WHOLE


def test_the_clip_is_cut_at_the_resolution_of_the_picture() -> None:
    frames = clip(1280, 720, (400, 200, 600, 400))
    out = np.empty((1, 16, SIDE, SIDE, 3), np.uint8)
    region = focus_clip(frames, out)
    left, top, right, bottom = region.pixels(1280, 720)
    part = frames[3].to_ndarray(format="rgb24")[top:bottom, left:right]
    expected = scaled(VideoFrame.from_ndarray(part, format="rgb24"), SIDE, SIDE)
    # brightness: colour is stored coarser, and cut before the conversion to RGB instead of after it
    assert np.abs(out[0, 3].mean(axis=-1) - expected.mean(axis=-1)).mean() < 3


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p", "yuv420p10le", "rgb24", "gray", "nv12"])
def test_every_pixel_format_is_taken(pixels: str) -> None:
    frames = [frame.reformat(format=pixels) for frame in clip(640, 360, (320, 160, 448, 288))]
    out = np.empty((1, 16, SIDE, SIDE, 3), np.uint8)
    assert focus_clip(frames, out) != WHOLE
    assert small_grey(frames[0]).shape == (ROWS, COLUMNS)


def test_a_tiny_picture_is_no_fault() -> None:
    frames = [frame.reformat(width=36, height=20) for frame in clip(640, 360, (320, 160, 448, 288))]
    out = np.empty((1, 16, SIDE, SIDE, 3), np.uint8)
    focus_clip(frames, out)


def test_the_same_clip_gives_the_same_square() -> None:
    frames = clip(640, 360, (320, 160, 448, 288))
    assert region_of(frames) == region_of(frames)
