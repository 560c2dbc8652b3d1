"""How an image becomes the 224 x 224 crops of the backbone. The bundle names the geometry; training used the same one.

| geometry | crops | what is visible of a 16:9 image |
|---|---|---|
| `squash` | 1 | all of it, without keeping proportions |
| `ends`   | 2 | all of it, in proportion: one square at each end of the long side (they overlap up to 2:1) |
| `center` | 1 | 43 %: the middle 224 x 224 after the short side became 256 |
| `ten`    | 10 | all of it, without keeping proportions: four corners and the middle of 340 x 256, and their mirrors |
| `focus`  | 1 | one square per clip around what moves, else all of it (`engine.focus`); a single image is used whole |

`ten` is that of the published UCF-Crime features, in their order, and resampled like them with a Lanczos filter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from engine.arrays import UInt8Array

SIDE: Final = 224
_CENTER_SHORT_SIDE: Final = 256
_TEN_WIDTH, _TEN_HEIGHT = 340, 256
# left, top: top-left, top-right, centre, bottom-left, bottom-right
_TEN_CORNERS: Final = ((0, 0), (116, 0), (58, 16), (0, 32), (116, 32))


class _Scaler(threading.local):
    """Caches swscale's tables for one size in each thread, because they cost more than scaling an image."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_scaler: Final = _Scaler()


def scaled(
    frame: VideoFrame, width: int, height: int, interpolation: Interpolation = Interpolation.BILINEAR
) -> UInt8Array:
    """A frame in another size, RGB: uint8 (height, width, 3)."""
    # swscale's filters widen with the scale, so shrinking causes no aliasing. One pass from YUV to RGB.
    reformat = _scaler.reformatter.reformat
    small = reformat(frame, width, height, format="rgb24", interpolation=interpolation, threads=1)
    return np.asarray(small.to_ndarray(), dtype=np.uint8)


def _in_proportion(frame: VideoFrame, short_side: int) -> UInt8Array:
    scale = short_side / min(frame.width, frame.height)
    return scaled(frame, max(short_side, round(frame.width * scale)), max(short_side, round(frame.height * scale)))


def _squash(frame: VideoFrame, out: UInt8Array) -> None:
    out[0] = scaled(frame, SIDE, SIDE)


def _ends(frame: VideoFrame, out: UInt8Array) -> None:
    picture = _in_proportion(frame, SIDE)
    out[0] = picture[:SIDE, :SIDE]
    out[1] = picture[-SIDE:, -SIDE:]


def _center(frame: VideoFrame, out: UInt8Array) -> None:
    picture = _in_proportion(frame, _CENTER_SHORT_SIDE)
    top, left = (picture.shape[0] - SIDE) // 2, (picture.shape[1] - SIDE) // 2
    out[0] = picture[top : top + SIDE, left : left + SIDE]


def _ten(frame: VideoFrame, out: UInt8Array) -> None:
    picture = scaled(frame, _TEN_WIDTH, _TEN_HEIGHT, Interpolation.LANCZOS)
    for half, mirrored in enumerate((picture, picture[:, ::-1])):
        for corner, (left, top) in enumerate(_TEN_CORNERS):
            out[5 * half + corner] = mirrored[top : top + SIDE, left : left + SIDE]


_GEOMETRIES: Final[dict[str, tuple[int, Callable[[VideoFrame, UInt8Array], None]]]] = {
    "squash": (1, _squash),
    "ends": (2, _ends),
    "center": (1, _center),
    "ten": (10, _ten),
    "focus": (1, _squash),
}


def crops_of(geometry: str) -> int:
    """The number of crops of a geometry. Raises KeyError for an unknown one."""
    return _GEOMETRIES[geometry][0]


def is_per_clip(geometry: str) -> bool:
    """Whether the crop depends on a whole clip: `engine.focus` cuts it, `write_crops` cuts all others."""
    return geometry == "focus"


def write_crops(frame: VideoFrame, geometry: str, out: UInt8Array) -> None:
    """Write the crops of `frame`, RGB, into `out`: uint8 (crops, 224, 224, 3)."""
    _GEOMETRIES[geometry][1](frame, out)


def seen(geometry: str, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The regions (left, top, right, bottom) in pixels that become crops, in order."""
    short = min(width, height)
    if geometry in ("squash", "focus"):
        return [(0, 0, width, height)]
    if geometry == "ends":
        return [(0, 0, short, short), (width - short, height - short, width, height)]
    if geometry == "ten":
        mirrored = [(_TEN_WIDTH - SIDE - left, top) for left, top in _TEN_CORNERS]
        return [_of_ten(left, top, width, height) for left, top in (*_TEN_CORNERS, *mirrored)]
    side = round(short * SIDE / _CENTER_SHORT_SIDE)
    left, top = (width - side) // 2, (height - side) // 2
    return [(left, top, left + side, top + side)]


def _of_ten(left: int, top: int, width: int, height: int) -> tuple[int, int, int, int]:
    """A square of the 340 x 256 image, as a region of the original."""
    across, down = width / _TEN_WIDTH, height / _TEN_HEIGHT
    return (round(left * across), round(top * down), round((left + SIDE) * across), round((top + SIDE) * down))
