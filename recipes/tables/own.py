"""The composed set as own data of `mgfn-eval tables`: feature files and a CSV of times, one source for each fold.

Run from the project's root: python -m recipes.tables.own OUT, then
mgfn-eval tables --protocol own --features OUT --labels OUT/own.csv --out TABLES
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import platformdirs

from recipes.default_head.features import extract
from recipes.default_head.takes import folds
from recipes.tables.data import FOLDS, composed, fights

VIDEOS = 40  # of each fold, half of them with an incident
SECONDS = 16 / 25  # of a clip


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head")
    given = parser.parse_args()
    extract(given.data, given.cache, ["squash-plain"], None)
    takes = fights(given.data, given.cache)
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str, str]] = []
    for fold, sources in enumerate(folds(takes, FOLDS)):
        streams = composed([take for take in takes if take.source in sources], VIDEOS, [fold, 2])
        for index, stream in enumerate(streams):
            name = f"fold{fold}-{index:02d}"
            np.save(given.out / f"{name}.npy", stream.features)
            edges = np.flatnonzero(np.diff(np.r_[False, stream.labels, False].astype(int)))
            times = [(f"{a * SECONDS:.2f}", f"{b * SECONDS:.2f}") for a, b in zip(edges[::2], edges[1::2], strict=True)]
            rows += [(name, f"fold{fold}", start, end) for start, end in times or [("", "")]]
    write_own(given.out, rows)


def write_own(out: Path, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """`out/own.csv`, as `mgfn-eval tables --protocol own` reads it."""
    with (out / "own.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "source", "start", "end"), *rows])


if __name__ == "__main__":
    main()
