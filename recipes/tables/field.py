"""The recordings in `../shared/data/field` as own data of `mgfn-eval tables`: feature files and a CSV of times.

Run from the project's root: python -m recipes.tables.field OUT, then
mgfn-eval tables --protocol own --features OUT --labels OUT/own.csv --out TABLES

Features are I3D's (Mixed_5c, 1,024 channels) of the geometry `focus`, from the cache of `recipes.field_head`. Left out
are recordings whose incident has no times. A clip has 16 frames, whatever the recording's frame rate; times are
converted, so that the table's default of 25 frames/s fits every file.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from recipes.field_head.data import Recording, all_recordings
from recipes.field_head.features import extract
from recipes.tables.own import SECONDS, write_own

CHANNELS = slice(1664, 2688)  # Mixed_5c


def place(start: NDArray[np.float64], end: NDArray[np.float64], time: float) -> float:
    """The time at which clips of 0.64 s would show what these clips (n,), (n,) show at `time`."""
    edges = np.append(start, end[-1])
    return float(np.interp(time, edges, SECONDS * np.arange(len(edges))))


def judged(data: Path) -> list[Recording]:
    """Recordings of the field set that are ordinary, or whose incident has times."""
    return [
        recording
        for recording in all_recordings(data).values()
        if recording.name.startswith("field/") and (recording.kind == "ordinary" or not math.isnan(recording.start))
    ]


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")) / "field-head")
    given = parser.parse_args()
    recordings = judged(given.data)
    extract(recordings, given.cache, ("focus",))
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str, str]] = []
    for recording in recordings:
        name = recording.name.removeprefix("field/")
        with np.load(given.cache / "focus" / f"field__{name}.npz") as file:
            features, start, end = file["features"][:, CHANNELS], file["start"], file["end"]
        times = ("", "")
        if recording.kind != "ordinary":
            first, past = (place(start, end, time) for time in (recording.start, recording.end))
            if first >= past:  # after the last complete clip
                continue
            times = (f"{first:.3f}", f"{past:.3f}")
        np.save(given.out / f"{name}.npy", np.ascontiguousarray(features[:, None], np.float32))
        rows.append((name, recording.source, *times))
    write_own(given.out, rows)


if __name__ == "__main__":
    main()
