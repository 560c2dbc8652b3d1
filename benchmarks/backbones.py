"""What one backbone costs beside another: clips through OpenVINO, one each in turn, so that both meet the same load.

Run from the project's root: .venv/bin/python -m benchmarks.backbones BUNDLE BUNDLE [...]
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from engine.engine import Engine

ROUNDS = 7


def main() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (1, 1, 16, 224, 224, 3), dtype=np.uint8)
    with ExitStack() as stack:
        engines = [stack.enter_context(Engine.open(Path(name), "openvino", "cpu")) for name in sys.argv[1:]]
        rows = []
        for _ in range(ROUNDS + 1):
            row = []
            for engine in engines:
                start, before = time.perf_counter(), sum(os.times()[:2])
                engine.features(clip)
                row.append((time.perf_counter() - start, sum(os.times()[:2]) - before))
            rows.append(row)
        seconds = np.median(rows[1:], axis=0)  # the first clip allocates
        for engine, (wall, cpu) in zip(engines, seconds, strict=True):
            print(
                f"{engine.manifest.backbone.name}: {wall * 1000:.0f} ms a clip, {cpu * 1000:.0f} ms of processor time; "
                f"{wall / seconds[0][0]:.2f} and {cpu / seconds[0][1]:.2f} times the first"
            )


if __name__ == "__main__":
    main()
