"""Live cameras of `gpu-check`: as in `mgfn-bench`, with what the GPU leaves to the CPU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from configs.pinned import FetchError
from configs.sizes import CLIP_LENGTH
from engine.bundle import Bundle
from export.bench import decode, footage, machine
from export.bench.cameras import Scenes, attempt
from export.bench.gpu_check import Cameras
from export.bench.search import next_count

_START_AND_STOP: Final = 22.0


def search(most: int | None, seconds: float) -> Cameras:
    """A search for the largest number of cameras, at most `most`, each number watched for so many seconds."""

    def cameras(bundle: Bundle, fastest: Mapping[str, Any], deadline: float) -> list[dict[str, Any]]:
        try:
            video = footage.as_a_camera(footage.SUBSTREAM)
        except FetchError as error:
            raise RuntimeError(f"no sample footage in the cache: {error}") from None
        each = decode.measure(video, bundle.manifest.geometry)
        decoder = footage.FPS * (each["decode_ms"] + each["scale_ms"]) / 1000
        clips = max(fastest["clips_per_second"].values()) * CLIP_LENGTH / footage.FPS
        guess = max(1, int(0.8 * min(clips, machine.cores() / decoder)))
        tried: dict[int, bool] = {}
        rows = []
        while (count := next_count(tried, guess, most)) is not None:
            if time.monotonic() + _START_AND_STOP + seconds > deadline:
                break
            one = attempt(count, Scenes(video), bundle.path, seconds, 0.0)
            tried[count] = one.held
            rows.append(one.plain())
        return rows

    return cameras
