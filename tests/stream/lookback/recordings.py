"""Recordings for cameras from which the frames of a clip are hard to find again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from tests.servers.rtsp import moving_pictures

_UNIT: Final = Fraction(1, 15_000)
_KEYFRAMES: Final = 25  # frames from one to the next
_BEFORE, _AFTER = 8.4, 12.6  # seconds
_ORDERED: Final = {"bf": "0", "x264-params": "threads=1"}
_REORDERED: Final = {"bf": "3", "x264-params": "threads=1:b-pyramid=normal:b-adapt=0:open-gop=1"}


def write_recording(path: Path, rate: int, rate_later: int, *, reordered: bool = False) -> Path:
    """21 s of moving pictures: `rate` frames per second, from 8.4 s on `rate_later`; `reordered`: with B-frames."""
    steps = [1 / rate] * round(_BEFORE * rate) + [1 / rate_later] * round(_AFTER * rate_later)
    times = np.cumsum([0.0, *steps])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = _UNIT
        stream.options = {"preset": "veryfast", "g": str(_KEYFRAMES), "sc_threshold": "0"}
        stream.options |= _REORDERED if reordered else _ORDERED
        for time, picture in zip(times, moving_pictures(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / _UNIT), _UNIT
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path: Path) -> Path:
    """The recording with every 20th packet lost in part and, in turn, as a whole; keyframes stay complete."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos is not None]
    content = bytearray(path.read_bytes())
    for number in range(33, len(places), 20):
        at, size = places[number]
        kept = size // 2 if number % 40 == 33 else 0
        content[at + kept : at + size] = bytes(size - kept)
    path.write_bytes(content)
    return path
