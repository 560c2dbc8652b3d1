"""Geometry `focus`: one square per clip, around what moves.

A person in a wide view covers a few per cent of the image, and little of them is left when the whole image is scaled to
224 x 224. Movement is detected in small grey versions of the frames (`small_grey`, `find_region`), and the square
around it is cut from the decoded frames at their own resolution. If almost nothing moves, or almost everything (a
camera that is hit, covered or turned), the backbone sees the whole image, squashed.

Pure: a region depends only on the frames of its clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from av import VideoFrame

from engine.arrays import FloatArray, UInt8Array
from engine.geometry import SIDE, scaled

COLUMNS, ROWS = 64, 36  # blocks of a small frame, whatever its shape
LOOKED_AT: Final = (0, 3, 6, 9, 12, 15)  # of a clip's 16 frames
_STILL_SHARE: Final = 0.6  # this share of the blocks counts as background: their changes are noise or light
_FLOOR: Final = 1.5  # grey levels between two small frames that count as no change
_FEWEST: Final = 4  # number of moving blocks below which nothing moves
_EVERYWHERE: Final = 0.75  # share of moving blocks above which everything moves
_OUTSIDE: Final = 0.1  # this share of the movement is outside the span, at each end of each axis
_WIDENED: Final = 1.25
_SMALLEST: Final = 0.4  # of the short side
_LARGEST: Final = 1.3  # wanted side, in short sides, above which the whole image is better than a square


class Region(NamedTuple):
    """A part of an image, in fractions of its width and height."""

    x: float
    y: float
    w: float
    h: float

    @property
    def is_whole(self) -> bool:
        return self == WHOLE

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """left, top, right, bottom in an image of that size; even, so that chroma planes are cut alike."""
        left, top = round(self.x * width / 2) * 2, round(self.y * height / 2) * 2
        right, bottom = round((self.x + self.w) * width / 2) * 2, round((self.y + self.h) * height / 2) * 2
        return left, top, max(left + 2, min(right, width)), max(top + 2, min(bottom, height))


WHOLE: Final = Region(0.0, 0.0, 1.0, 1.0)


def movement(small: UInt8Array) -> FloatArray:
    """How much each block changes from frame to frame, in grey levels, summed.

    (n, rows, columns) -> (rows, columns).
    """
    steps = cv2.absdiff(small[1:], small[:-1])
    return np.asarray(steps.sum(axis=0, dtype=np.int32), dtype=np.float32)


def find_region(small: UInt8Array, width: int, height: int) -> Region:
    """The square around what moves in a clip, from its small grey frames (n >= 2, rows, columns), uint8.

    `width` and `height` are those of the original frames, so that the result is a square there.
    """
    moved = movement(small)
    floor = _FLOOR * (len(small) - 1)
    if np.count_nonzero(moved > 2 * floor) > _EVERYWHERE * moved.size:
        return WHOLE
    beyond = moved - max(float(np.quantile(moved, _STILL_SHARE)), 0.0) - floor
    np.maximum(beyond, 0, out=beyond)
    if np.count_nonzero(beyond) < _FEWEST:
        return WHOLE
    left, right = _span(beyond.sum(axis=0))
    top, bottom = _span(beyond.sum(axis=1))
    short = min(width, height)
    wanted = _WIDENED * max((right - left) * width, (bottom - top) * height)
    if wanted > _LARGEST * short:
        return WHOLE
    side = min(max(wanted, _SMALLEST * short), short)
    w, h = side / width, side / height
    x = min(max((left + right - w) / 2, 0.0), 1 - w)
    y = min(max((top + bottom - h) / 2, 0.0), 1 - h)
    return Region(x, y, w, h)


def _span(weights: FloatArray) -> tuple[float, float]:
    """The span from 0 to 1 along an axis that leaves `_OUTSIDE` of the weight at each end."""
    reached = np.concatenate([np.zeros(1), np.cumsum(weights, dtype=np.float64)])
    ends = np.interp((_OUTSIDE * reached[-1], (1 - _OUTSIDE) * reached[-1]), reached, np.arange(len(reached)))
    return float(ends[0]) / len(weights), float(ends[1]) / len(weights)


def small_grey(frame: VideoFrame) -> UInt8Array:
    """A small grey version of a frame: uint8 (ROWS, COLUMNS), each block the mean of its part."""
    if (
        not frame.format.name.startswith(("yuv4", "yuvj4", "nv12", "nv21", "gray"))
        or frame.format.components[0].bits != 8
    ):
        frame = frame.reformat(format="gray")
    luma = frame.planes[0]
    rows = np.asarray(memoryview(luma)).reshape(-1, luma.line_size)
    # four by four samples per block are enough, and a large frame costs no more than a small one
    step_y, step_x = max(1, frame.height // (4 * ROWS)), max(1, frame.width // (4 * COLUMNS))
    picture = np.ascontiguousarray(rows[: frame.height : step_y, : frame.width : step_x])
    return np.asarray(cv2.resize(picture, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def focus_clip(frames: Sequence[VideoFrame], out: UInt8Array, hidden: UInt8Array | None = None) -> Region:
    """Write a clip's 16 frames, cut to the square around what moves, into `out`: uint8 (1, 16, 224, 224, 3) RGB.

    `hidden` as for `small_clip`. Returns the square.
    """
    region = region_of(frames, hidden)
    cut_clip(frames, region, out)
    return region


def cut_clip(frames: Sequence[VideoFrame], region: Region, out: UInt8Array) -> None:
    """Write a clip's 16 frames, cut to `region`, into `out`: uint8 (1, 16, 224, 224, 3) RGB."""
    for index, frame in enumerate(frames):
        out[0, index] = scaled(cropped(frame, region), SIDE, SIDE)


def region_of(frames: Sequence[VideoFrame], hidden: UInt8Array | None = None) -> Region:
    """The region of a clip of 16 frames; `hidden` as for `small_clip`."""
    return find_region(small_clip(frames, hidden), frames[0].width, frames[0].height)


def small_clip(frames: Sequence[VideoFrame], hidden: UInt8Array | None = None) -> UInt8Array:
    """The small grey frames of a clip of 16 frames: uint8 (6, ROWS, COLUMNS).

    `hidden`, uint8 (ROWS, COLUMNS), is above 0 in blocks whose movement is ignored.
    """
    small = np.stack([small_grey(frames[index]) for index in LOOKED_AT])
    if hidden is not None:
        small[:, hidden > 0] = 0
    return small


def cropped(frame: VideoFrame, region: Region) -> VideoFrame:
    """The region of a frame as a separate frame, at the same resolution: planes are copied, nothing is scaled."""
    if region.is_whole:
        return frame
    if frame.format.name not in ("yuv420p", "yuvj420p"):
        frame = frame.reformat(format="yuv420p")
    left, top, right, bottom = region.pixels(frame.width & ~1, frame.height & ~1)
    part = VideoFrame(right - left, bottom - top, frame.format.name)
    for index, (source, target) in enumerate(zip(frame.planes, part.planes, strict=True)):
        scale = 2 if index else 1
        given = np.asarray(memoryview(source)).reshape(-1, source.line_size)
        taken = np.asarray(memoryview(target)).reshape(-1, target.line_size)
        high, wide = (bottom - top) // scale, (right - left) // scale
        taken[:high, :wide] = given[top // scale : top // scale + high, left // scale : left // scale + wide]
    part.colorspace, part.color_range = frame.colorspace, frame.color_range
    return part
