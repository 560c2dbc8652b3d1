"""Compares the cost of backbones: clips pass through OpenVINO alternately, so that all see the same load.

Every OpenVINO form of a bundle takes part; the others are compared with the first one named.

Run from the project's root: python -m benchmarks.backbones BUNDLE BUNDLE [...]
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from engine.backends import BACKENDS, start_backend
from engine.bundle import Bundle

ROUNDS = 9


def main() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (1, 16, 224, 224, 3), dtype=np.uint8)
    names, backends = [], []
    with ExitStack() as stack:
        for bundle in [Bundle.open(Path(path)) for path in sys.argv[1:]]:
            for form in ("openvino", "openvino-int8"):
                if BACKENDS[form].file in bundle.manifest.files:
                    names.append(f"{bundle.manifest.backbone.name} {BACKENDS[form].form}")
                    backends.append(stack.enter_context(closing(start_backend(bundle, form, "cpu"))))
        rows = []
        for _ in range(ROUNDS + 1):
            row = []
            for backend in backends:
                start, before = time.perf_counter(), sum(os.times()[:2])
                backend.features(clip)
                row.append((time.perf_counter() - start, sum(os.times()[:2]) - before))
            rows.append(row)
    seconds = np.median(rows[1:], axis=0)  # the first clip allocates memory
    for name, (wall, cpu) in zip(names, seconds, strict=True):
        print(
            f"{name}: {wall * 1000:.0f} ms a clip, {cpu * 1000:.0f} ms of processor time; "
            f"{wall / seconds[0][0]:.2f} and {cpu / seconds[0][1]:.2f} times {names[0]}"
        )


if __name__ == "__main__":
    main()
