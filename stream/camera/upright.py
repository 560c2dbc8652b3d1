"""Pictures of a camera that was held sideways, turned upright as their file asks for."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Final

import av
from av import VideoFrame
from av.filter import Graph

# Where the picture's right and lower sides go (the signs of a, b, c, d in the display matrix) -> filters that do so.
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
    """Turns and mirrors pictures by their display matrix, in quarter turns; any other angle is left as it is."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._graph: Graph | None = None

    def turned(self, frame: VideoFrame) -> VideoFrame:
        """The picture as it is to be seen, with the time it had; the frame itself where nothing is to be done."""
        filters = _filters(frame)
        if not filters:
            return frame
        key = (frame.width, frame.height, frame.format.name, filters)
        if self._graph is None or key != self._key:
            self._key, self._graph = key, _graph(frame, filters)
        self._graph.push(frame)
        turned = self._graph.pull()
        assert isinstance(turned, VideoFrame)  # noqa: S101 -- a graph of video gives no sound
        turned.pts, turned.time_base = frame.pts, frame.time_base
        return turned


def _filters(frame: VideoFrame) -> tuple[str, ...]:
    try:
        matrix = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item] # PyAV names it otherwise in its stub
    except (KeyError, ValueError):  # none; or beside it data of a type that PyAV does not know
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
