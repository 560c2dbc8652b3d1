"""The recording of the demo: real street footage in which the camera is shaken and covered. That part is staged."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from configs.atomic import replacing
from configs.sizes import CLIP_LENGTH
from engine.arrays import UInt8Array

FPS: Final = 25
LENGTH: Final = 45.0
INCIDENT: Final = (25.0, 31.0)
STAGED_THRESHOLD: Final = 0.4  # the incident reaches 0.65 with the default bundle, the street 0.24
_RECIPE: Final = "1"  # increment it when the rendering changes


def recording_began(start: float, clip: int) -> float:
    """When the recording began, in epoch seconds, if its clip number `clip` began at `start`.

    Works with any clip, because overload may have dropped the first ones.
    """
    return start - clip * CLIP_LENGTH / FPS


def staged_footage(sample: Path, folder: Path) -> Path:
    """The recording, rendered from `sample` into `folder` on first use: H.264, 25 fps, `LENGTH` seconds."""
    key = hashlib.sha256(f"{_RECIPE}{LENGTH}{INCIDENT}{sample.stat().st_size}".encode()).hexdigest()[:12]
    target = folder / f"demo-{key}.mp4"
    if not target.exists():
        with replacing(target) as partial:
            _render(sample, partial)
    return target


def _render(sample: Path, target: Path) -> None:
    with av.open(str(sample)) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]
    height, width = pictures[0].shape[:2]
    rng = np.random.default_rng(0)
    # forwards, backwards, forwards: the street continues without a cut
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "bf": "0", "g": str(FPS), "x264-params": "repeat-headers=1"}
        for index in range(round(LENGTH * FPS)):
            picture = pictures[order[index % len(order)]]
            seconds = index / FPS
            if INCIDENT[0] <= seconds < INCIDENT[1]:
                picture = tampered(picture, seconds - INCIDENT[0], rng)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def tampered(picture: UInt8Array, seconds: float, rng: np.random.Generator) -> UInt8Array:
    """The image (height, width, 3) `seconds` into the incident: shaken hard, and a cloth slides over it."""
    height, width = picture.shape[:2]
    reach = 0.12 * height
    shift = reach * np.array([np.sin(19 * seconds), np.cos(23 * seconds)]) + rng.normal(0, 4, 2)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 8 * np.sin(17 * seconds), 1.0)
    matrix[:, 2] += shift
    shaken = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    out = np.array(cv2.blur(shaken, (15, 3)), dtype=np.uint8)
    covered = int(width * min(1.0, max(0.0, seconds - 1.0) / 0.8))
    cloth = 38 + 14 * np.sin(np.arange(height) / 9)[:, None, None] + rng.normal(0, 3, (height, covered, 3))
    out[:, :covered] = np.clip(cloth, 0, 255)
    return out
