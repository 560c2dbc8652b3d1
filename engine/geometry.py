"""How a picture becomes the backbone's 224 x 224 crops. The bundle names the geometry; training used the same.

| geometry | crops | what is seen of a 16:9 picture |
|---|---|---|
| `squash` | 1 | all of it, aspect ignored |
| `ends`   | 2 | all of it, in proportion: one square at each end of the long side (they overlap up to 2:1) |
| `center` | 1 | 43 %: the middle 224 x 224 after the short side became 256 |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation

from engine.arrays import UInt8Array

SIDE: Final = 224
_CENTER_SHORT_SIDE: Final = 256


def _scaled(frame: VideoFrame, width: int, height: int) -> UInt8Array:
    # swscale's bilinear filter widens with the scale: no aliasing when shrinking. One pass from YUV to RGB.
    small = frame.reformat(width, height, format="rgb24", interpolation=Interpolation.BILINEAR)
    return np.asarray(small.to_ndarray(), dtype=np.uint8)


def _in_proportion(frame: VideoFrame, short_side: int) -> UInt8Array:
    scale = short_side / min(frame.width, frame.height)
    return _scaled(frame, max(short_side, round(frame.width * scale)), max(short_side, round(frame.height * scale)))


def _squash(frame: VideoFrame, out: UInt8Array) -> None:
    out[0] = _scaled(frame, SIDE, SIDE)


def _ends(frame: VideoFrame, out: UInt8Array) -> None:
    picture = _in_proportion(frame, SIDE)
    out[0] = picture[:SIDE, :SIDE]
    out[1] = picture[-SIDE:, -SIDE:]


def _center(frame: VideoFrame, out: UInt8Array) -> None:
    picture = _in_proportion(frame, _CENTER_SHORT_SIDE)
    top, left = (picture.shape[0] - SIDE) // 2, (picture.shape[1] - SIDE) // 2
    out[0] = picture[top : top + SIDE, left : left + SIDE]


_GEOMETRIES: Final[dict[str, tuple[int, Callable[[VideoFrame, UInt8Array], None]]]] = {
    "squash": (1, _squash),
    "ends": (2, _ends),
    "center": (1, _center),
}


def crops_of(geometry: str) -> int:
    """Number of crops that a geometry cuts from a picture. Raises KeyError for an unknown one."""
    return _GEOMETRIES[geometry][0]


def write_crops(frame: VideoFrame, geometry: str, out: UInt8Array) -> None:
    """Write the crops of `frame`, RGB, into `out`: uint8 (crops, 224, 224, 3)."""
    _GEOMETRIES[geometry][1](frame, out)


def seen(geometry: str, width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The regions (left, top, right, bottom) in pixels of a picture that become crops, in order."""
    short = min(width, height)
    if geometry == "squash":
        return [(0, 0, width, height)]
    if geometry == "ends":
        return [(0, 0, short, short), (width - short, height - short, width, height)]
    side = round(short * SIDE / _CENTER_SHORT_SIDE)
    left, top = (width - side) // 2, (height - side) // 2
    return [(left, top, left + side, top + side)]
