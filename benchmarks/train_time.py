"""Wall time of `mgfn-train --config small-data` on 200 composed videos of 1,024 channels, and what it learns.

Features are generated, not extracted: ordinary clips of a scene, and in every other video three to ten clips that
differ. Run from the project's root: python -m benchmarks.train_time [STEPS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

VIDEOS, HELD_OUT, CHANNELS = 200, 40, 1024


def compose(
    rng: np.random.Generator, direction: np.ndarray, abnormal: bool
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Features (clips, 1, 1024) of one video, with the first clip of its incident and the one after it."""
    clips = int(rng.integers(40, 200))
    scene = rng.random(CHANNELS)
    features = scene + 0.3 * rng.random((clips, CHANNELS))
    incident = None
    if abnormal:
        begin = int(rng.integers(clips - 10))
        incident = begin, begin + int(rng.integers(3, 11))
        features[slice(*incident)] += direction
    return features[:, None].astype(np.float32), incident


def main() -> None:
    steps = ["--steps", sys.argv[1]] if len(sys.argv) > 1 else []
    rng = np.random.default_rng(0)
    direction = rng.random(CHANNELS) * (rng.random(CHANNELS) < 0.3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ["file,label,split"]
        for index in range(VIDEOS + HELD_OUT):
            np.save(folder / f"v{index}.npy", compose(rng, direction, bool(index % 2))[0])
            rows.append(f"v{index},{index % 2},{'train' if index < VIDEOS else 'test'}")
        (folder / "labels.csv").write_text("\n".join(rows))
        command = [sys.executable, "-m", "mgfn.training.cli", "--config", "small-data", *steps]
        begin = time.monotonic()
        code = subprocess.call([*command, "--labels", str(folder / "labels.csv"), "--out", str(folder / "run")])
    print(f"{VIDEOS} videos to learn from: exit {code}, {time.monotonic() - begin:.0f} s")
    sys.exit(code)


if __name__ == "__main__":
    main()
