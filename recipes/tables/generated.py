"""Generated features as own data of `mgfn-eval tables`, to try the commands without any recording.

Run from the project's root: python -m recipes.tables.generated OUT. The figures of such a table mean nothing: in an
incident, a third of the channels is simply higher.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.train_time import CHANNELS, compose
from recipes.tables.own import SECONDS, write_own

SOURCES, VIDEOS = 10, 8  # videos of each source, half of them with an incident


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    direction = rng.random(CHANNELS) * (rng.random(CHANNELS) < 0.3)
    rows: list[tuple[str, str, str, str]] = []
    for source in range(SOURCES):
        for index in range(VIDEOS):
            features, incident = compose(rng, direction, abnormal=bool(index % 2))
            name = f"place{source}-{index}"
            np.save(out / f"{name}.npy", features)
            times = tuple(f"{clip * SECONDS:.2f}" for clip in incident) if incident else ("", "")
            rows.append((name, f"place{source}", times[0], times[1]))
    write_own(out, rows)
    print(f"{out}: features of {len(rows)} videos, and own.csv, which lists their incidents")


if __name__ == "__main__":
    main()
