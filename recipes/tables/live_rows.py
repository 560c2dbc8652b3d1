"""The rows of a table of own data as a live user would see them: each clip is scored when it arrives.

Run from the project's root: python -m recipes.tables.live_rows TABLES FEATURES [ROW ...], with TABLES as written by
`mgfn-eval tables --protocol own` and FEATURES its folder of features with own.csv.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from mgfn.checkpoint import load_head
from mgfn.evaluation.own_data import OwnData, read_own
from mgfn.evaluation.scoring import newest_scores
from mgfn.features import read_features
from mgfn.network import Head
from mgfn.truth import clip_of_frame


def live_auc(head: Head, own: OwnData, seed: int) -> float:
    """In %, over the frames of the videos that this seed tests."""
    scores, labels = [], []
    for video in own.split(seed)[1]:
        values = newest_scores(head, read_features(video.files[0]))
        labels.append(own.truth[video.name])
        scores.append(values[clip_of_frame(len(labels[-1]), len(values))])
    return 100 * float(roc_auc_score(np.concatenate(labels), np.concatenate(scores)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("rows", nargs="*")
    given = parser.parse_args()
    torch.set_num_threads(1)
    own = read_own(given.features / "own.csv", given.features, 25.0)
    found: dict[str, list[float]] = defaultdict(list)
    for path in sorted(given.tables.glob("runs/*/last.safetensors")):
        row, seed, _ = path.parent.name.rsplit("-", 2)
        if not given.rows or row in given.rows:
            found[row].append(live_auc(load_head(path)[0], own, int(seed)))
    for row, values in sorted(found.items(), key=lambda item: -float(np.mean(item[1]))):
        each = ", ".join(f"{value:.1f}" for value in values)
        spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
        print(f"{row}: {np.mean(values):.2f}{spread} ({each})", flush=True)


if __name__ == "__main__":
    main()
