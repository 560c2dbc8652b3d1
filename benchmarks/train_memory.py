"""Peak memory of `mgfn-train` on features of the size of UCF-Crime: 1610 videos of ten crops, about 60 GB, sparse.

The files take no space on disk, but their averaged parts do (4.2 GB), next to them until the end. Run from the
project's root: python -m benchmarks.train_memory [STEPS] [SHARE_OF_THE_VIDEOS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

CROPS, CHANNELS = 10, 2048
ABNORMAL, NORMAL = 810, 800
LONGEST = 61_000  # clips: UCF-Crime has a video of more than ten hours
TOTAL_BYTES = 60e9


def lengths(videos: int) -> np.ndarray:
    """The number of clips of each video: many short ones, few long ones, with the given total."""
    rng = np.random.default_rng(0)
    drawn = rng.lognormal(0.0, 1.0, videos)
    rest = TOTAL_BYTES * videos / (ABNORMAL + NORMAL) / (4 * CROPS * CHANNELS) - LONGEST
    clips = np.maximum(32, drawn / drawn.sum() * rest).astype(int)
    clips[0] = LONGEST
    return clips


def write_sparse(path: Path, clips: int) -> int:
    """A .npy of zeros (clips, 10, 2048) that takes no space; returns its size in bytes."""
    description = {"descr": "<f4", "fortran_order": False, "shape": (clips, CROPS, CHANNELS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, description)
        size = file.tell() + 4 * clips * CROPS * CHANNELS
        os.truncate(file.fileno(), size)
    return size


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    abnormal, normal = round(ABNORMAL * share), round(NORMAL * share)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ["file,label"]
        size = 0
        for index, clips in enumerate(lengths(abnormal + normal)):
            size += write_sparse(folder / f"v{index}.npy", int(clips))
            rows.append(f"v{index},{'abnormal' if index < abnormal else 'normal'}")
        (folder / "labels.csv").write_text("\n".join(rows))
        command = [sys.executable, "-m", "mgfn.training.cli", "--config", "paper-ucf-crime", "--steps", str(steps)]
        command += ["--labels", str(folder / "labels.csv"), "--out", str(folder / "run")]
        begin, highest = time.monotonic(), 0
        with subprocess.Popen(command) as process:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                try:
                    highest = max(highest, watched.memory_info().rss)
                    process.wait(0.1)
                except (subprocess.TimeoutExpired, psutil.NoSuchProcess):
                    continue
        kept = sum(path.stat().st_size for path in (folder / "run" / "segments").iterdir())
    print(
        f"{abnormal + normal} videos, {size / 1e9:.1f} GB of features, {steps} steps: exit {process.returncode}, "
        f"peak {highest / 2**30:.2f} GiB resident, {time.monotonic() - begin:.0f} s, parts kept {kept / 1e9:.1f} GB"
    )
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
