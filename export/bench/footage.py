"""The sample footage as a camera would send it: H.264, 25 frames/s, a keyframe every two seconds, no B-frames.

A quiet camera shows one of its frames for 20 s, under the noise of a sensor that differs in every frame. What it
streams is not frozen: noise passes the encoder, and each keyframe redraws the scene.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from configs.atomic import replacing
from configs.pinned import PinnedFile, cache_folder, fetch

FPS: Final = 25
SUBSTREAM: Final = (640, 360)
MAINSTREAM: Final = (1280, 720)
_RECIPE: Final = "1"  # increment it when the encoding changes
_QUIET_FRAMES: Final = 20 * FPS
_NOISE: Final = 4.0  # grey levels, standard deviation


def as_a_camera(size: tuple[int, int], *, quiet: bool = False) -> Path:
    """The sample footage, forwards and backwards so that it loops without a cut, at (width, height) in pixels; or one
    of its frames, as a `quiet` camera shows it.

    Encoded on first use, into a separate folder. Raises FetchError if the sample is missing and cannot be downloaded.
    """
    sample = fetch(PinnedFile.named("samples.json", "bikes"), cache_folder("samples"))
    key = hashlib.sha256(f"{_RECIPE}{size}{sample.stat().st_size}".encode()).hexdigest()[:12]
    target = cache_folder("bench") / f"{'quiet' if quiet else 'camera'}-{size[0]}x{size[1]}-{key}.mp4"
    if not target.exists():
        with replacing(target) as partial:
            _encode(_quiet(sample, size) if quiet else _back_and_forth(sample, size), size, partial)
    return target


def _back_and_forth(sample: Path, size: tuple[int, int]) -> Iterator[av.VideoFrame]:
    with av.open(str(sample)) as container:
        pictures = [frame.reformat(*size, format="yuv420p") for frame in container.decode(video=0)]
    yield from [*pictures, *pictures[-2:0:-1]]


def _quiet(sample: Path, size: tuple[int, int]) -> Iterator[av.VideoFrame]:
    with av.open(str(sample)) as container:
        scene = next(container.decode(video=0)).reformat(*size, format="rgb24").to_ndarray().astype(np.float32)
    rng = np.random.default_rng(0)
    for _ in range(_QUIET_FRAMES):
        noisy = scene + _NOISE * rng.standard_normal(scene.shape, np.float32)
        frame = av.VideoFrame.from_ndarray(np.clip(noisy, 0, 255).astype(np.uint8), format="rgb24")
        yield frame.reformat(format="yuv420p")


def _encode(pictures: Iterator[av.VideoFrame], size: tuple[int, int], target: Path) -> None:
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "veryfast", "bf": "0", "g": str(2 * FPS), "x264-params": "repeat-headers=1"}
        for index, picture in enumerate(pictures):
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
