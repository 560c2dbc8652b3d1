"""Compares INT8 with float32 on composed validation streams: the effect of an eight-bit backbone on the AUC.

Every clip that the default head's recipe takes from ../shared/data also passes the default bundle's INT8 backbone. The
same composed streams are then scored twice, with float32 and with INT8 features: by the shipped head (which was trained
on these sources), and by one network per fold, trained by the recipe on float32 features of all sources except the
held-out ones. Networks are kept in the cache. Run from the project's root on a CPU whose default bundle is INT8: python
-m benchmarks.int8_auc [--folds N] [--variants A,B]
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import platformdirs
import torch

from engine.bundle import Bundle
from engine.default_bundle import default_head
from mgfn.checkpoint import load_head, save_head
from mgfn.network import Head
from mgfn.training.compose import Composer, Take
from mgfn.training.mil import train
from recipes.default_head.features import extract
from recipes.default_head.takes import folds, load_takes
from recipes.default_head.train import CONFIG, FOLDS, MIXTURE, SETTINGS, VARIANTS, Measured
from stream.settings.bundle import cached_bundle

STREAMS = 8  # of each kind in each fold
CACHE = Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head"


def cosines(one: list[Take], other: list[Take]) -> np.ndarray:
    a, b = (np.concatenate([take.features.reshape(len(take.features), -1) for take in takes]) for takes in (one, other))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def network(fold: int, takes: list[Take]) -> Head:
    """A network trained by the recipe; from the cache if the same recipe put it there."""
    recipe = hashlib.sha256(repr((CONFIG, SETTINGS, MIXTURE, len(takes))).encode()).hexdigest()[:12]
    file = CACHE / f"int8-auc-{recipe}-fold-{fold}.safetensors"
    if not file.exists():
        composer = Composer(takes, MIXTURE, np.random.default_rng(fold))
        save_head(file, train(dataclasses.replace(CONFIG, members=1), composer, SETTINGS, fold), {})
    return load_head(file)[0]


def show(title: str, exact: Measured, eight: Measured) -> None:
    for what, kinds in (
        ("fights", ("fights",)),
        ("tampering", ("tampering",)),
        ("all streams", ("fights", "tampering", "ordinary")),
    ):
        one, other = exact.auc(*kinds), eight.auc(*kinds)
        print(f"{title}, clip AUC, {what}: float32 {one:.4f}, INT8 {other:.4f}, difference {other - one:+.4f}")
    one, other = exact.context_auc(), eight.context_auc()
    print(f"{title}, clip AUC, after other recordings: float32 {one:.4f}, INT8 {other:.4f}, {other - one:+.4f}")
    scores = [np.concatenate([s for kind in m.scores.values() for s in kind]) for m in (exact, eight)]
    change = np.abs(scores[0] - scores[1])
    print(f"{title}, a score moves by {np.median(change):.4f} at the median, {np.quantile(change, 0.99):.4f} at 99 %, "
          f"{change.max():.4f} at most, of {len(change)}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--folds", type=int, default=FOLDS, help="0: the shipped head alone")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    given = parser.parse_args()
    variants = given.variants.split(",")
    torch.set_num_threads(2)
    bundle = Bundle.open(cached_bundle())
    cache = CACHE / f"int8-{bundle.manifest.files['backbone-int8.bin'][:12]}"
    extract(given.data, CACHE, variants)
    extract(given.data, cache, variants, bundle.file("backbone-int8.xml"))
    features = {"float32": load_takes(given.data, CACHE, variants), "INT8": load_takes(given.data, cache, variants)}
    found = cosines(*features.values())
    print(f"{len(found)} clips; cosine lowest {found.min():.4f}, 1 % {np.quantile(found, 0.01):.4f}, median "
          f"{np.median(found):.4f}", flush=True)  # fmt: skip
    shipped, apart = ({name: Measured() for name in features} for _ in range(2))
    parts = folds(features["float32"], FOLDS)
    for fold, held_out in enumerate(parts):
        for name, takes in features.items():
            unseen = [take for take in takes if take.source in held_out]
            shipped[name].add(load_head(default_head())[0], unseen, fold, streams=STREAMS, length=96)
    show("shipped head", *shipped.values())
    for fold, held_out in list(enumerate(parts))[: given.folds]:
        head = network(fold, [take for take in features["float32"] if take.source not in held_out])
        for name, takes in features.items():
            apart[name].add(head, [take for take in takes if take.source in held_out], fold, streams=STREAMS, length=96)
        show(f"held-out sources, folds 0 to {fold}", *apart.values())


if __name__ == "__main__":
    main()
