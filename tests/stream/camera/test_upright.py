"""Recordings of a phone that was held sideways: every way that a display matrix can turn a picture."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import SideDataContainer

from engine.arrays import UInt8Array
from stream.base.addresses import Source
from stream.camera.capture import Capture

# red, green / blue, black
PICTURE = np.zeros((64, 96, 3), np.uint8)
PICTURE[:32, :48, 0] = PICTURE[:32, 48:, 1] = PICTURE[32:, :48, 2] = 255


def write_turned(path: Path, degrees: int, *, mirrored: bool) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(degrees, hflip=mirrored)
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(PICTURE, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def quarters(picture: UInt8Array) -> list[list[int]]:
    height, width = picture.shape[:2]
    return [
        (picture[y, x] > 128).astype(int).tolist()
        for y in (height // 4, 3 * height // 4)
        for x in (width // 4, 3 * width // 4)
    ]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_recording_is_turned_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    path = write_turned(tmp_path / "phone.mp4", degrees, mirrored=mirrored)
    expected = np.rot90(PICTURE, degrees // 90)
    expected = expected[:, ::-1] if mirrored else expected
    with Capture(Source("phone", str(path), live=False)) as capture:
        pictures = list(capture.pictures())
        assert capture.size == (expected.shape[1], expected.shape[0])
    assert [picture.media_time for picture in pictures] == pytest.approx([0, 0.04, 0.08, 0.12])
    for picture in pictures:
        assert quarters(np.asarray(picture.frame.to_ndarray(format="rgb24"), np.uint8)) == quarters(expected)


def test_a_frame_is_released_as_soon_as_nobody_holds_it(tmp_path: Path) -> None:
    """Frames that only the garbage collector finds took 80 MB per camera at 640x360."""
    path = write_turned(tmp_path / "camera.mp4", 0, mirrored=False)
    with Capture(Source("camera", str(path), live=False)) as capture:
        pictures = capture.pictures()
        next(pictures)
        for _ in range(2):
            frame = next(pictures).frame
            assert [each for each in gc.get_referrers(frame) if type(each) is SideDataContainer] == []
