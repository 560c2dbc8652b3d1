"""What the model sees of a camera's image: a region of it, without the masked parts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import cv2
import numpy as np
from av import VideoFrame
from av.filter import Graph

from engine.arrays import UInt8Array
from engine.geometry import SIDE, crops_of, write_crops

Polygon = tuple[tuple[float, float], ...]
Part = tuple[float, float, float, float]  # x, y, width, height in fractions of an image

# Colour is stored and scaled at lower resolution than brightness: the colour of a masked pixel spreads so many pixels
# in the image, and again as many in a crop.
_BLEED: Final = 2
_LEAST_SIDE: Final = 16


@dataclass(frozen=True)
class Region:
    """A rectangle of the image, in fractions of its width and height from the upper left."""

    x: float
    y: float
    width: float
    height: float

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in an image of that size: even numbers, because colour is stored for pairs of
        pixels.
        """
        left, right = _even(self.x, self.x + self.width, width)
        top, bottom = _even(self.y, self.y + self.height, height)
        return left, top, right, bottom


def _even(begin: float, end: float, size: int) -> tuple[int, int]:
    first, last = round(begin * size / 2) * 2, min(size, round(end * size / 2) * 2)
    if last - first < _LEAST_SIDE:  # a tiny image: use all of it rather than nothing
        return 0, size
    return first, last


@dataclass(frozen=True)
class View:
    """`region` None is the whole image; `masks` are polygons in fractions of the whole image's width and height.

    only_here: polygons outside of which nothing is seen; without any, everything is.
    """

    region: Region | None = None
    masks: tuple[Polygon, ...] = ()
    only_here: tuple[Polygon, ...] = ()

    @property
    def hides(self) -> bool:
        """Whether a part of the region is black."""
        return bool(self.masks or self.only_here)

    def shown(self, part: Part | None) -> Part | None:
        """A part of the whole image as a part of the region."""
        if part is None or self.region is None:
            return part
        region, (x, y, width, height) = self.region, part
        return (
            (x - region.x) / region.width, (y - region.y) / region.height,
            width / region.width, height / region.height,
        )  # fmt: skip

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The visible part of an image of that size, ignoring masks: left, top, right, bottom in pixels."""
        return (0, 0, width, height) if self.region is None else self.region.pixels(width, height)


class Cropper:
    """Writes the crops of a camera's frames, with masked parts in black."""

    def __init__(self, view: View, geometry: str) -> None:
        self._view = view
        self._geometry = geometry
        self._size = (0, 0)
        self._format = ""
        self._graph: Graph | None = None
        self._keep: UInt8Array | None = None  # 1 where the image shows, 0 where it is masked

    def write(self, frame: VideoFrame, out: UInt8Array) -> None:
        """Write the crops of `frame`, RGB, into `out`: uint8 (crops, 224, 224, 3)."""
        write_crops(self.cut(frame), self._geometry, out)
        if self._keep is not None:
            np.multiply(out, self._keep, out=out)

    def _prepare(self, frame: VideoFrame) -> None:
        self._graph = _crop_graph(frame, self._view.region) if self._view.region else None
        if self._view.hides:
            masked = np.empty((crops_of(self._geometry), SIDE, SIDE, 3), np.uint8)
            # scaled in the same way as the image: everything that a masked pixel contributes to is masked
            drawn = widened(hidden(self._view, frame.width, frame.height))
            whole = VideoFrame.from_ndarray(np.repeat(drawn[:, :, None], 3, axis=2), format="rgb24")
            Cropper(View(self._view.region), self._geometry).write(whole, masked)
            self._keep = np.stack([widened(crop) == 0 for crop in masked]).astype(np.uint8)

    def cut(self, frame: VideoFrame) -> VideoFrame:
        """The view's region of `frame`, without applying masks."""
        if self._view != View() and (self._size, self._format) != ((frame.width, frame.height), frame.format.name):
            self._size, self._format = (frame.width, frame.height), frame.format.name
            self._prepare(frame)
        if self._graph is None:
            return frame
        self._graph.push(frame)
        cut = self._graph.pull()
        assert isinstance(cut, VideoFrame)  # noqa: S101 -- a video graph returns no audio
        return cut


def _crop_graph(frame: VideoFrame, region: Region) -> Graph:
    left, top, right, bottom = region.pixels(frame.width, frame.height)
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 90_000)
    )
    crop = graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    return graph


def hidden(view: View, width: int, height: int) -> UInt8Array:
    """uint8 (height, width): 255 where the image is black to the model, else 0; ignores the region."""
    masked = _filled(view.masks, width, height)
    return masked | ~_filled(view.only_here, width, height) if view.only_here else masked


def _filled(masks: tuple[Polygon, ...], width: int, height: int) -> UInt8Array:
    """uint8 (height, width): 255 inside the polygons, else 0."""
    picture = np.zeros((height, width), np.uint8)
    for polygon in masks:
        corners = np.array(polygon) * (width, height)
        cv2.fillPoly(picture, [np.round(corners).astype(np.int32)], 255)
    return picture


def widened(drawn: UInt8Array) -> UInt8Array:
    """The drawn area (above 0), widened by some pixels, because colour is stored at lower resolution than
    brightness.
    """
    reach = 2 * _BLEED + 1
    return np.asarray(cv2.dilate(drawn, np.ones((reach, reach), np.uint8)), np.uint8)
