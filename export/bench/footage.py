"""The sample footage as a camera would send it: H.264, 25 frames/s, a keyframe every two seconds, no B-frames."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from configs.atomic import replacing
from configs.pinned import PinnedFile, cache_folder, fetch

FPS: Final = 25
SUBSTREAM: Final = (640, 360)
MAINSTREAM: Final = (1280, 720)
_RECIPE: Final = "1"  # increment it when the encoding changes


def as_a_camera(size: tuple[int, int]) -> Path:
    """The sample footage, forwards and backwards so that it loops without a cut, at (width, height) in pixels.

    Encoded on first use, into a separate folder. Raises FetchError if the sample is missing and cannot be downloaded.
    """
    sample = fetch(PinnedFile.named("samples.json", "bikes"), cache_folder("samples"))
    key = hashlib.sha256(f"{_RECIPE}{size}{sample.stat().st_size}".encode()).hexdigest()[:12]
    target = cache_folder("bench") / f"camera-{size[0]}x{size[1]}-{key}.mp4"
    if not target.exists():
        with replacing(target) as partial:
            _encode(sample, size, partial)
    return target


def _encode(sample: Path, size: tuple[int, int], target: Path) -> None:
    width, height = size
    with av.open(str(sample)) as container:
        pictures = [frame.reformat(width, height, format="yuv420p") for frame in container.decode(video=0)]
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "bf": "0", "g": str(2 * FPS), "x264-params": "repeat-headers=1"}
        for index, picture in enumerate([*pictures, *pictures[-2:0:-1]]):
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
