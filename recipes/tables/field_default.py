"""The default head on the folds of the field set's table, beside which its rows can be read.

Run from the project's root: python -m recipes.tables.field_default OUT, with OUT as written by recipes.tables.field.

Every recording is scored by a head of `recipes.field` that was trained without its source; a clip is scored when it
arrives. Unlike the rows of the table, this recipe knows the times of incidents, three layers of I3D instead of one,
augmented views, and the recordings of `cctv-fights` and `cctv-normal`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import platformdirs
from sklearn.metrics import average_precision_score, roc_auc_score

from mgfn.evaluation.own_data import FOLDS, read_own
from mgfn.evaluation.scoring import newest_scores
from mgfn.truth import clip_of_frame
from recipes.field.folds import fold_heads, source_groups
from recipes.field_head.data import all_recordings, load_clips
from recipes.field_head.train import NETWORK_VIEWS, PROBE_VIEWS


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")))
    given = parser.parse_args()
    own = read_own(given.out / "own.csv", given.out, 25.0)
    everything = all_recordings(given.data)
    groups = source_groups(everything.values())
    views = tuple(dict.fromkeys((*PROBE_VIEWS, *NETWORK_VIEWS)))
    clips = load_clips(given.cache / "field-head", everything, views)
    heads = fold_heads(clips, groups, given.cache / "field" / "heads")
    head_of = {source: head for sources, head in zip(groups, heads, strict=True) for source in sources}
    found = []
    for seed in range(FOLDS):
        scores, labels = [], []
        for video in own.split(seed)[1]:
            with np.load(given.cache / "field-head" / "focus" / f"field__{video.name}.npz") as file:
                values = newest_scores(head_of[own.sources[video.name]], file["features"][:, None, :2688])
            labels.append(own.truth[video.name])
            scores.append(values[clip_of_frame(len(labels[-1]), len(values))])
        y, s = np.concatenate(labels), np.concatenate(scores)
        found.append((100 * roc_auc_score(y, s), 100 * average_precision_score(y, s)))
        print(f"fold {seed}: AUC {found[-1][0]:.2f}, AP {found[-1][1]:.2f}", flush=True)
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    print(f"AUC {mean[0]:.2f} ± {spread[0]:.2f}, AP {mean[1]:.2f} ± {spread[1]:.2f}")


if __name__ == "__main__":
    main()
