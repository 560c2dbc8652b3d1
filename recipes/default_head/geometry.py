"""Which geometry sees best: a logistic probe on clips of each, by source-disjoint folds, paired by source.

Run from the project's root: python -m recipes.default_head.geometry
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from recipes.default_head.features import extract, recordings

GEOMETRIES = ("squash", "center", "ends")
FOLDS = 8
BOOTSTRAPS = 2000


def probe(
    cache: Path, geometry: str, sources: dict[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Held-out probability of each clip (mean over crops), its label and its source."""
    with np.load(cache / f"{geometry}-plain.npz") as file:
        features, labels, videos = file["features"], file["anomalous"], file["video"]
    names = np.array([sources[str(video)] or "unknown" for video in videos])
    known = sorted(set(names) - {"unknown"})
    np.random.default_rng(0).shuffle(known)
    scores = np.full(len(labels), np.nan)
    for fold in range(FOLDS):
        held_out = np.isin(names, known[fold::FOLDS])
        model = make_pipeline(
            Normalizer(), StandardScaler(), LogisticRegression(C=1e-3, max_iter=500, class_weight="balanced")
        )
        crops = features.shape[1]
        model.fit(features[~held_out].reshape(-1, features.shape[2]), labels[~held_out].repeat(crops))
        flat = model.predict_proba(features[held_out].reshape(-1, features.shape[2]))[:, 1]
        scores[held_out] = flat.reshape(-1, crops).mean(axis=1)
    fights = np.char.startswith(names, "s")
    return scores[fights], labels[fights], list(names[fights])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head")
    given = parser.parse_args()
    extract(given.data, given.cache, [f"{geometry}-plain" for geometry in GEOMETRIES])
    sources = {recording.name: recording.source for recording in recordings(given.data)}
    rows = {geometry: probe(given.cache, geometry, sources) for geometry in GEOMETRIES}
    names = sorted(set(rows["squash"][2]))
    rng = np.random.default_rng(0)
    samples: dict[str, list[float]] = {geometry: [] for geometry in GEOMETRIES}
    members = {g: {n: np.flatnonzero(np.array(rows[g][2]) == n) for n in names} for g in GEOMETRIES}
    for _ in range(BOOTSTRAPS):
        drawn = rng.choice(names, len(names))
        for geometry, (scores, labels, _) in rows.items():
            index = np.concatenate([members[geometry][name] for name in drawn])
            samples[geometry].append(float(roc_auc_score(labels[index], scores[index])))
    for geometry, (scores, labels, _) in rows.items():
        difference = np.array(samples[geometry]) - np.array(samples["squash"])
        low, high = np.percentile(difference, [2.5, 97.5])
        print(
            f"{geometry:8s} clip AUC {roc_auc_score(labels, scores):.3f}, standard error "
            f"{np.std(samples[geometry]):.3f}; against squash {difference.mean():+.3f} "
            f"(95 %: {low:+.3f} to {high:+.3f})"
        )


if __name__ == "__main__":
    main()
