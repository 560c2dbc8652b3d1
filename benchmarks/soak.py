"""Checks that memory use stays constant: cameras over RTSP for half an hour, with the memory of every process over
time.

Run from the project's root: python -m benchmarks.soak [--minutes 30] [--cameras 4] [--json FILE] The slope is that of a
straight line through the second half; the first minutes belong to the start. Memory is that of each process alone
(USS), because its share of library pages depends on what else runs on the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import psutil

from engine.bundle import Bundle
from export.bench.cameras import Scenes, memory_of, settle, watching
from export.bench.footage import SUBSTREAM, as_a_camera
from stream.settings.bundle import cached_bundle

EVERY = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    bundle = Bundle.open(cached_bundle())
    rows: list[dict[str, float]] = []
    with watching(given.cameras, Scenes(as_a_camera(SUBSTREAM)), bundle.path) as watched:
        settle(watched, given.cameras)
        began = time.monotonic()
        while (now := time.monotonic() - began) < 60 * given.minutes:
            try:
                rows.append({"minute": round(now / 60, 2), **memory_of(watched, "uss")})
            except psutil.Error as error:  # a decoder was just being replaced
                print(f"minute {now / 60:.1f} is left out: {error}", flush=True)
            time.sleep(EVERY)
        clips, dropped = sum(watched.scores.seen.values()), watched.dropped_clips()
    later = rows[len(rows) // 2 :]
    print(f"{given.cameras} cameras for {given.minutes:g} minutes: {clips} clips scored, {dropped} dropped")
    slopes = {}
    for role in ("service", "camera", "broker"):
        values = [row[role] for row in rows]
        slope = np.polyfit([row["minute"] / 60 for row in later], [row[role] for row in later], 1)[0]
        slopes[role] = round(float(slope), 2)
        print(f"{role}: {values[0]:.1f} MiB at first, {values[-1]:.1f} at last, largest {max(values):.1f}, "
              f"{slope:+.1f} MiB an hour in the second half")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps({"rows": rows, "mib_an_hour": slopes, "dropped_clips": dropped}, indent=1))


if __name__ == "__main__":
    main()
