"""INT8 beside float32 on composed validation streams: what eight bits in the backbone do to the AUC.

Every clip that the default head's recipe takes from ../shared/data passes the default bundle's INT8 backbone too. Each
fold trains a head as the recipe does, on float32 features of all sources but the held-out ones, and scores the same
composed streams of the held-out sources twice: with float32 and with INT8 features. Run from the project's root on a
CPU whose default bundle is INT8: .venv/bin/python -m benchmarks.int8_auc [--folds N] [--variants A,B]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import platformdirs
import torch

from engine.bundle import Bundle
from engine.default_bundle import default_bundle_path
from mgfn.training.compose import Take
from recipes.default_head.features import extract
from recipes.default_head.takes import folds, load_takes
from recipes.default_head.train import FOLDS, VARIANTS, Measured, train_head

CACHE = Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head"


def cosines(one: list[Take], other: list[Take]) -> np.ndarray:
    a, b = (np.concatenate([take.features.reshape(len(take.features), -1) for take in takes]) for takes in (one, other))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--folds", type=int, default=FOLDS, help="0: the features alone")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    given = parser.parse_args()
    variants = given.variants.split(",")
    torch.set_num_threads(2)
    bundle = Bundle.open(default_bundle_path())
    cache = CACHE / f"int8-{bundle.manifest.files['backbone-int8.bin'][:12]}"
    extract(given.data, CACHE, variants)
    extract(given.data, cache, variants, bundle.file("backbone-int8.xml"))
    exact, eight = (load_takes(given.data, where, variants) for where in (CACHE, cache))
    found = cosines(exact, eight)
    print(f"{len(found)} clips; cosine lowest {found.min():.4f}, 1 % {np.quantile(found, 0.01):.4f}, median "
          f"{np.median(found):.4f}")  # fmt: skip
    measured = {"float32": Measured(), "INT8": Measured()}
    for fold, held_out in list(enumerate(folds(exact, FOLDS)))[: given.folds]:
        head = train_head([take for take in exact if take.source not in held_out], seed=0)
        for name, takes in (("float32", exact), ("INT8", eight)):
            measured[name].add(head, [take for take in takes if take.source in held_out], fold, streams=20, length=96)
        rows = {name: m.auc("fights", "tampering", "ordinary") for name, m in measured.items()}
        print(f"after fold {fold}: all streams, float32 {rows['float32']:.4f}, INT8 {rows['INT8']:.4f}", flush=True)
    if not given.folds:
        return
    for title, kinds in (
        ("fights", ("fights",)),
        ("tampering", ("tampering",)),
        ("all", ("fights", "tampering", "ordinary")),
    ):
        one, other = (m.auc(*kinds) for m in measured.values())
        print(f"clip AUC, {title}: float32 {one:.4f}, INT8 {other:.4f}, difference {other - one:+.4f}")
    one, other = (m.context_auc() for m in measured.values())
    print(f"clip AUC, after other recordings: float32 {one:.4f}, INT8 {other:.4f}, difference {other - one:+.4f}")
    scores = [np.concatenate([s for kind in m.scores.values() for s in kind]) for m in measured.values()]
    change = np.abs(scores[0] - scores[1])
    print(f"change of a score: median {np.median(change):.4f}, 99 % {np.quantile(change, 0.99):.4f}, "
          f"largest {change.max():.4f} of {len(change)}")  # fmt: skip


if __name__ == "__main__":
    main()
