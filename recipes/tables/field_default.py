"""The recipe of the default head on the folds of the field set's table, beside which its rows can be read.

Run from the project's root: python -m recipes.tables.field_default OUT, with OUT as written by recipes.tables.field.

Each seed trains the recipe (`recipes.field_head.train`) without the sources that the table's seed tests, and scores
every clip when it arrives. Unlike the rows of the table, the recipe knows the times of incidents, three layers of I3D
instead of one, augmented views, and the recordings of `cctv-fights` and `cctv-normal`.
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
from recipes.field_head.data import all_recordings, load_clips
from recipes.field_head.features import VIEWS
from recipes.field_head.train import train


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")) / "field-head")
    given = parser.parse_args()
    own = read_own(given.out / "own.csv", given.out, 25.0)
    clips = load_clips(given.cache, all_recordings(given.data), VIEWS)
    found = []
    for seed in range(FOLDS):
        _, test = own.split(seed)
        head = train(clips, frozenset(own.sources[video.name] for video in test), seed)
        scores, labels = [], []
        for video in test:
            with np.load(given.cache / "focus" / f"field__{video.name}.npz") as file:
                values = newest_scores(head, file["features"][:, None])
            labels.append(own.truth[video.name])
            scores.append(values[clip_of_frame(len(labels[-1]), len(values))])
        y, s = np.concatenate(labels), np.concatenate(scores)
        found.append((100 * roc_auc_score(y, s), 100 * average_precision_score(y, s)))
        print(f"seed {seed}: AUC {found[-1][0]:.2f}, AP {found[-1][1]:.2f}", flush=True)
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    print(f"AUC {mean[0]:.2f} ± {spread[0]:.2f}, AP {mean[1]:.2f} ± {spread[1]:.2f}")


if __name__ == "__main__":
    main()
