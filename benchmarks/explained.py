"""Checks that the explanation of an alarm points at its incident, on sources that the head never saw.

One network per fold is trained by the recipe on all sources except the held-out ones (kept in the cache, shared with
`benchmarks.int8_auc`), and scores composed streams of those. Each alarm of two clips in a row is explained as in the
product. Run from the project's root: python -m benchmarks.explained
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from benchmarks.int8_auc import CACHE, network
from configs.sizes import WINDOW
from engine.arrays import FloatArray
from engine.engine import Engine
from mgfn.evaluation.scoring import newest_scores
from mgfn.network import Head
from mgfn.training.compose import Stream
from mgfn.training.streaming import threshold_for
from recipes.default_head.features import extract
from recipes.default_head.takes import folds, load_takes
from recipes.default_head.train import (
    FOLDS,
    HELD_OUT_CLIPS,
    HELD_OUT_STREAMS,
    INCIDENTS,
    SHIPPED_RATE,
    VARIANTS,
    composed,
)
from stream.archive.explanation import shares


@dataclass(frozen=True)
class Scorer:
    """The part of an engine that occlusion needs."""

    head: Head

    @torch.inference_mode()
    def scores(self, windows: Sequence[FloatArray]) -> list[np.ndarray]:
        return list(self.head(torch.from_numpy(np.stack(windows))).scores.numpy())


def explained(head: Head, stream: Stream, scores: np.ndarray, threshold: float) -> list[float]:
    """For each alarm in an incident, the incident's share of the window's weight."""
    found: list[float] = []
    above = scores >= threshold
    rings = above & np.r_[False, above[:-1]]
    for end in np.flatnonzero(rings & ~np.r_[False, rings[:-1]]):
        begin = max(0, end + 1 - WINDOW)
        labels = stream.labels[begin : end + 1]
        if labels[-3:].any():
            window = stream.features[begin : end + 1]
            weights = shares(Engine.contributions(cast(Engine, Scorer(head)), window))
            found.append(float(weights[labels].sum()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    given = parser.parse_args()
    extract(given.data, CACHE, list(VARIANTS))
    takes = load_takes(given.data, CACHE, VARIANTS)
    rows: list[tuple[str, Head, Stream, np.ndarray]] = []
    for fold, held_out in enumerate(folds(takes, FOLDS)):
        head = network(fold, [take for take in takes if take.source not in held_out])
        unseen = [take for take in takes if take.source in held_out]
        for kind in (*INCIDENTS, "ordinary"):
            for stream in composed(unseen, kind, fold, HELD_OUT_STREAMS, HELD_OUT_CLIPS):
                rows.append((kind, head, stream, newest_scores(head, stream.features)))
        print(f"fold {fold} scored", flush=True)
    threshold = threshold_for([row[2] for row in rows], [row[3] for row in rows], SHIPPED_RATE)
    print(f"threshold {threshold:.2f}: streams cross it once in {3 / SHIPPED_RATE:g} minutes")
    for kind in INCIDENTS:
        of_kind = [(head, stream, scores) for k, head, stream, scores in rows if k == kind]
        weights = [w for head, stream, scores in of_kind for w in explained(head, stream, scores, threshold)]
        most = np.mean(np.array(weights) > 0.5)
        low, middle = np.quantile(weights, [0.1, 0.5])
        print(f"{kind}: {len(weights)} alarms; their incident carries most of the weight in {most:.3f} of them")
        print(f"{kind}: its share is {middle:.2f} at the median, {low:.2f} at one in ten")


if __name__ == "__main__":
    main()
