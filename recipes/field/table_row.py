"""A row of the field set's table, judged by its alarms as `make field` judges the default head.

    python -m recipes.field.table_row TABLES FEATURES ROW

TABLES is the output of `mgfn-eval tables --protocol own`, FEATURES its folder of features with own.csv, ROW a method's
name (svm). Each recording is scored by the head of the seed that tests its source; the prior is measured on the sources
of the other seeds. Needs the cached features of `make field`. Prints one line of its table of parts.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import platformdirs
import torch

from engine.arrays import FloatArray
from engine.engine import Engine
from mgfn.checkpoint import load_head
from mgfn.evaluation.own_data import FOLDS, OwnData, read_own
from mgfn.evaluation.scoring import newest_scores
from mgfn.network import Head
from recipes.field.__main__ import Variant, part_of
from recipes.field.features import footage
from recipes.field.parts import Logits, logit
from recipes.field.recordings import benchmark_recordings
from recipes.field.report import part_row
from recipes.field.watch import divided
from recipes.field_head.data import all_recordings
from recipes.tables.field import CHANNELS
from stream.settings.bundle import cached_bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[2]
    for name in ("tables", "features"):
        parser.add_argument(name, type=Path)
    parser.add_argument("row")
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")))
    given = parser.parse_args()
    runs = [sorted(given.tables.glob(f"runs/{given.row}-{seed}-*/last.safetensors")) for seed in range(FOLDS)]
    if any(len(paths) != 1 for paths in runs):
        found = ", ".join(str(len(paths)) for paths in runs)
        parser.error(
            f"{given.tables}: holds {found} runs of {given.row} with seeds 0 to {FOLDS - 1}; must be one of each"
        )
    torch.set_num_threads(1)
    recordings = benchmark_recordings(all_recordings(given.data).values())
    with Engine.open(cached_bundle("i3d", None), "auto", "cpu") as engine:
        seen = footage(recordings, engine, given.cache / "field" / "features")
    folds = _tested(read_own(given.features / "own.csv", given.features, 25.0))
    heads = [load_head(path)[0] for (path,) in runs]
    parted = {}
    for recording in recordings:
        # recordings of cctv-normal are in no fold and no training; the first head scores them
        seed = next((seed for seed, sources in enumerate(folds) if recording.source in sources), 0)
        none = np.empty((len(seen[recording.name].start), 0))
        parted[recording.name] = divided(recording, seen[recording.name], partial(_logits, heads[seed]), none)
    row = part_of(Variant(given.row, lambda network, _probes: network), recordings, seen, folds, parted)
    print(part_row(row))


def _tested(own: OwnData) -> list[frozenset[str]]:
    """The sources that each seed tests."""
    return [frozenset(own.sources[video.name] for video in own.split(seed)[1]) for seed in range(FOLDS)]


def _logits(head: Head, features: FloatArray) -> Logits:
    return logit(newest_scores(head, features[:, :, CHANNELS]))


if __name__ == "__main__":
    main()
