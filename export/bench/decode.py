"""The cost of decoding a camera's frames, and of scaling them for the model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.focus import focus_clip
from engine.geometry import SIDE, crops_of, is_per_clip, write_crops


def measure(video: Path, geometry: str) -> dict[str, Any]:
    """On one core: frames per second decoded and scaled, and milliseconds for each part."""
    decoding = _milliseconds(video, None)
    both = _milliseconds(video, geometry)
    return {
        "fps_per_core": round(1000 / both, 1),
        "decode_ms": round(decoding, 3),
        "scale_ms": round(max(0.0, both - decoding), 3),
    }


def _milliseconds(video: Path, geometry: str | None) -> float:
    """The thread's own time per frame, the smaller one of two rounds."""
    out = np.empty((crops_of(geometry or "squash"), CLIP_LENGTH, SIDE, SIDE, 3), np.uint8)
    clip: list[av.VideoFrame] = []
    rounds = []
    for _ in range(2):
        began, frames = time.thread_time(), 0
        for frame in _frames(video):
            frames += 1
            if geometry is not None and is_per_clip(geometry):
                clip.append(frame)
                if len(clip) == CLIP_LENGTH:
                    focus_clip(clip, out)
                    clip.clear()
            elif geometry is not None:
                write_crops(frame, geometry, out[:, 0])
        rounds.append((time.thread_time() - began) / frames * 1000)
    return min(rounds)


def _frames(video: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # as in a camera's decoder process
        yield from container.decode(stream)
