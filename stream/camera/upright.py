"""Rotates the frames of a camera that was held sideways, as its file requests."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Final

import av
from av import VideoFrame
from av.filter import Graph

# Where the right and lower sides of the image go (signs of a, b, c, d in the display matrix) -> filters for it.
_TURNS: Final = {
    (1, 0, 0, 1): (),
    (0, 1, -1, 0): ("transpose=clock",),
    (-1, 0, 0, -1): ("hflip", "vflip"),
    (0, -1, 1, 0): ("transpose=cclock",),
    (-1, 0, 0, 1): ("hflip",),
    (1, 0, 0, -1): ("vflip",),
    (0, 1, 1, 0): ("transpose=cclock_flip",),
    (0, -1, -1, 0): ("transpose=clock_flip",),
}


class Upright:
    """Rotates and mirrors the frames of one connection by their display matrix, in quarter turns. Other angles are
    ignored.

    The matrix is read again only when the rotation changes: a frame whose side data were read refers to itself, and
    keeps its image in memory until Python's garbage collector runs.
    """

    def __init__(self) -> None:
        self._rotation: int | None = None
        self._filters: tuple[str, ...] = ()
        self._key: tuple[object, ...] = ()
        self._graph: Graph | None = None

    @property
    def turns(self) -> bool:
        """Whether the last frame was not upright."""
        return bool(self._filters)

    def turned(self, frame: VideoFrame) -> VideoFrame:
        """The upright frame with the same time; the frame itself if nothing needs to be done."""
        if frame.rotation != self._rotation:
            self._rotation, self._filters = frame.rotation, _filters(frame)
        if not self._filters:
            return frame
        key = (frame.width, frame.height, frame.format.name, self._filters)
        if self._graph is None or key != self._key:
            self._key, self._graph = key, _graph(frame, self._filters)
        self._graph.push(frame)
        turned = self._graph.pull()
        assert isinstance(turned, VideoFrame)  # noqa: S101 -- a video graph returns no audio
        turned.pts, turned.time_base = frame.pts, frame.time_base
        return turned


def _filters(frame: VideoFrame) -> tuple[str, ...]:
    try:
        matrix = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item] # PyAV names it otherwise in its stub
    except (KeyError, ValueError):  # none, or also data of a type unknown to PyAV
        return ()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    largest = max(abs(a), abs(b), abs(c), abs(d), 1)
    signs = tuple(round(value / largest) for value in (a, b, c, d))
    return _TURNS.get((signs[0], signs[1], signs[2], signs[3]), ())


def _graph(frame: VideoFrame, filters: tuple[str, ...]) -> Graph:
    graph = av.filter.Graph()
    last = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 90_000)
    )
    for each in (*filters, "buffersink"):
        name, _, setting = each.partition("=")
        following = graph.add(name, setting or None)
        last.link_to(following)
        last = following
    graph.configure()
    return graph
