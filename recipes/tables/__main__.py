"""The tables of docs/benchmarks/paper-tables.md: mean and spread over seeds, by source-disjoint folds.

Run from the project's root: python -m recipes.tables methods causes ... (--help lists them all) Features are extracted
once. Each finished run is stored, so an interrupted table continues.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import platformdirs
import torch

from recipes.default_head.features import extract
from recipes.tables.ceiling import CEILINGS
from recipes.tables.data import FOLDS, Fold, fights, make_fold
from recipes.tables.default_head import default_head
from recipes.tables.gradients import gradients
from recipes.tables.limits import limits
from recipes.tables.methods import TABLES, Method
from recipes.tables.report import Runs, streaming, table
from recipes.tables.runs import Scores, keep, kept, scored, trained
from recipes.tables.single_clips import single_clips

SEEDS = 5
STREAMING = "MGFN, small-data"


def of_method(method: Method, fold: Fold, seed: int) -> Scores:
    return scored(trained(method, fold, seed), fold.held_out)


def made(name: str, make: Callable[[Fold, int], Scores], folds: list[Fold], folds_of_seed: int, cache: Path) -> Runs:
    """Scores by (fold, seed), read or computed; over all seeds, each fold occurs equally often."""
    found = {}
    for seed in range(SEEDS):
        for fold in ((seed + 2 * index) % FOLDS for index in range(folds_of_seed)):
            path = cache / name / f"{fold}-{seed}.npz"
            scores = kept(path)
            if scores is None:
                begin = time.monotonic()
                scores = make(folds[fold], seed)
                keep(path, scores)
                print(f"{name}: fold {fold}, seed {seed}, {time.monotonic() - begin:.0f} s", flush=True)
            found[fold, seed] = scores
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument(
        "tables",
        nargs="+",
        choices=[*TABLES, "ceiling", "gradients", "streaming", "default-head", "limits", "single-clips"],
    )
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    cached = Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head"
    parser.add_argument("--cache", type=Path, default=cached)
    parser.add_argument("--graph", type=Path, help="another form of the backbone, with a --cache of its own")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if given.graph and given.cache == cached:
        parser.error(f"--graph {given.graph}: {cached} holds features of the backbone itself; give --cache DIR, too")
    extract(given.data, given.cache, ["squash-plain"], given.graph)
    torch.set_num_threads(given.threads)
    takes = fights(given.data, given.cache)
    cache = given.cache / "tables"
    folds = [make_fold(takes, fold, cache / f"fold-{fold}") for fold in range(FOLDS)]
    held_out = {index: fold.held_out for index, fold in enumerate(folds)}

    def runs(method: Method) -> Runs:
        settings = zlib.crc32(method.config(0).model_dump_json().encode())  # other settings, other runs
        return made(f"{settings:08x}", partial(of_method, method), folds, method.folds, cache)

    for name in given.tables:
        if name == "streaming":
            method = next(m for m in TABLES["methods"] if m.title == STREAMING)
            lines = streaming(method.title, runs(method), held_out)
        elif name == "default-head":
            lines = default_head(given.data, given.cache, given.graph)
        elif name == "gradients":
            lines = gradients(folds)
        elif name == "single-clips":
            lines = single_clips(folds)
        elif name == "ceiling":
            rows = {title: made(title, make, folds, FOLDS, cache) for title, make in CEILINGS.items()}
            lines = table(rows, held_out)
        elif name == "limits":
            lines = limits(given.data, given.cache, given.graph)
        else:
            lines = table({method.title: runs(method) for method in TABLES[name]}, held_out)
        print(f"\n## {name}\n", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
