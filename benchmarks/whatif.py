"""Measures a what-if over a week of sixteen cameras: python -m benchmarks.whatif [--minutes]

Scores of 0.64 s clips (beta-distributed, three bursts a day), in chunks of an hour as they are stored after a while, or
of a minute as they are written. Prints the processor and wall time of the command at three thresholds.
"""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store

CLIP, CAMERAS, DAYS = 0.64, 16, 7
HEADER = struct.Struct("<Hd")  # of a chunk: its length and when it begins


def fill(store: Store, span: float) -> None:
    rng, began = np.random.default_rng(0), time.time() - DAYS * 86_400
    count = round(span / CLIP)
    packed = []
    for burst in [False] * 40 + [True]:
        scores = rng.beta(1, 12, count)
        if burst:
            scores[10:20] = 0.9
        packed.append(pack([LoggedScore(i * CLIP, (i + 1) * CLIP, s, 32) for i, s in enumerate(scores.tolist())]))
    with store.transaction():
        for camera in range(CAMERAS):
            for chunk in range(int(DAYS * 86_400 / (count * CLIP))):
                chosen = packed[int(rng.integers(len(packed)))]
                header = HEADER.pack(count, began + chunk * count * CLIP)
                store.scores.add(f"camera{camera}", header + chosen[HEADER.size :])


def main() -> None:
    span = 60.0 if "--minutes" in sys.argv else 3_600.0
    with tempfile.TemporaryDirectory() as folder:
        with Store.open(Path(folder)) as store:
            fill(store, span)
        for threshold in ("0.9", "0.7", "0.4"):
            command = [
                sys.executable,
                "-m",
                "stream.cli.mgfn_events",
                "what-if",
                "--since",
                "7d",
                "--json",
                "--data",
                folder,
            ]
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            out = subprocess.run(
                [*command, "--threshold", threshold], capture_output=True, text=True, check=True
            ).stdout
            wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            alarms = sum(len(json.loads(line)["alarms"]) for line in out.splitlines())
            print(f"threshold {threshold}: {alarms} alarms, {used:.2f} s of processor time, {wall:.2f} s")


if __name__ == "__main__":
    main()
