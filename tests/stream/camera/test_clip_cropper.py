from __future__ import annotations

import numpy as np
import pytest
from av import VideoFrame

from engine.focus import focus_clip
from engine.geometry import SIDE, crops_of, write_crops
from stream.camera.clip_cropper import ClipCropper
from stream.camera.view import Region, View
from tests.engine.test_focus import clip


def written(cropper: ClipCropper, frames: list[VideoFrame], oldest: int = 0, crops: int = 1) -> np.ndarray:
    for index, frame in enumerate(frames):
        cropper.put((oldest + index) % 16, frame)
    out = np.empty((crops, 16, SIDE, SIDE, 3), np.uint8)
    cropper.write(oldest, out)
    return out


@pytest.mark.parametrize("geometry", ["squash", "ends", "center"])
@pytest.mark.parametrize("oldest", [0, 8])
def test_a_geometry_of_single_pictures_is_that_of_write_crops(geometry: str, oldest: int) -> None:
    frames = clip(640, 360, (320, 160, 448, 288))
    out = written(ClipCropper(View(), geometry), frames, oldest, crops_of(geometry))
    expected = np.empty((crops_of(geometry), SIDE, SIDE, 3), np.uint8)
    for index, frame in enumerate(frames):
        write_crops(frame, geometry, expected)
        assert np.array_equal(out[:, index], expected)


@pytest.mark.parametrize("oldest", [0, 4])
def test_focus_cuts_the_clip_in_its_order(oldest: int) -> None:
    frames = clip(640, 360, (320, 160, 448, 288))
    expected = np.empty((1, 16, SIDE, SIDE, 3), np.uint8)
    focus_clip(frames, expected)
    assert np.array_equal(written(ClipCropper(View(), "focus"), frames, oldest), expected)


def test_the_square_is_told_in_shares_of_the_cameras_picture() -> None:
    cropper = ClipCropper(View(Region(0.5, 0.0, 0.5, 1.0)), "focus")
    for index, frame in enumerate(clip(640, 360, (480, 160, 544, 224))):
        cropper.put(index, frame)
    focus = cropper.write(0, np.empty((1, 16, SIDE, SIDE, 3), np.uint8)).focus
    assert focus is not None
    x, y, width, height = focus
    assert x >= 0.5
    assert x <= 480 / 640
    assert x + width >= 544 / 640 - 0.02
    assert y <= 160 / 360
    assert y + height >= 224 / 360 - 0.02


def test_what_is_masked_is_black_in_the_square_too() -> None:
    mask = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    frames = clip(640, 360, (240, 120, 304, 184))
    out = written(ClipCropper(View(masks=(mask,)), "focus"), frames)
    plain = written(ClipCropper(View(), "focus"), frames)
    assert (out == 0).all(axis=-1).any()
    kept = (out != 0).any(axis=-1)
    assert np.array_equal(out[kept], plain[kept])


def test_a_size_that_changes_within_a_clip_is_no_fault() -> None:
    frames = clip(640, 360, (320, 160, 448, 288))
    mixed = [frame.reformat(width=480, height=270) for frame in frames[:8]] + frames[8:]
    assert written(ClipCropper(View(), "focus"), mixed).shape == (1, 16, SIDE, SIDE, 3)
