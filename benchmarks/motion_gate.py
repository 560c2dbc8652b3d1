"""Measures what the motion gate saves, and its effect on scores, on the recordings under ../shared/data.

For each threshold: how many clips of ordinary recordings reuse an earlier clip's feature, how much that changes a score
of the default head, and how many clips of fights are taken for still. Run from the project's root: python -m
benchmarks.motion_gate
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.engine import Engine
from engine.window import FeatureWindow
from recipes.default_head.features import CLIP, read_crops, recordings
from stream.camera.motion_gate import MotionGate
from stream.settings.bundle import cached_bundle

THRESHOLDS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def clips_of(path: Path) -> np.ndarray:
    """uint8 (clips, 1, 16, 224, 224, 3), without overlap."""
    crops = read_crops(path, "squash")[0]
    whole = len(crops) // CLIP
    return crops[: whole * CLIP].reshape(whole, 1, CLIP, 224, 224, 3)


def representatives(clips: np.ndarray, threshold: float) -> list[int]:
    gate = MotionGate(threshold)
    return [gate.representative(number, clip) for number, clip in enumerate(clips)]


def scores_of(engine: Engine, features: np.ndarray) -> np.ndarray:
    window, scores = FeatureWindow(), []
    for feature in features:
        window.push(feature)
        scores.append(float(engine.scores([window.array()])[0][-1]))
    return np.array(scores)


def main() -> None:
    found = recordings(DATA)
    with Engine.open(cached_bundle(), "auto", "cpu") as engine:
        ordinary = {r.name: clips_of(r.path) for r in found if r.path.parent.name == "cctv-normal"}
        features = {name: np.concatenate([engine.features(c[None]) for c in clips]) for name, clips in ordinary.items()}
        exact = {name: scores_of(engine, rows) for name, rows in features.items()}
        for name, clips in ordinary.items():
            print(f"{name}: {len(clips)} clips, scores up to {exact[name].max():.2f}")
            for threshold in THRESHOLDS:
                known = representatives(clips, threshold)
                reused = np.mean([a != b for b, a in enumerate(known)])
                change = np.abs(scores_of(engine, features[name][known]) - exact[name])
                print(f"  threshold {threshold:4.0f}: {reused:4.0%} of the clips take an earlier feature; a score "
                      f"moves by {np.median(change):.3f} at the median, {change.max():.3f} at most")  # fmt: skip
    fights = [clips_of(recording.path) for recording in found if recording.anomalous]
    for threshold in THRESHOLDS:
        still = [sum(a != b for b, a in enumerate(representatives(clips, threshold))) for clips in fights]
        print(f"fights, threshold {threshold:4.0f}: {sum(still)} of {sum(map(len, fights))} clips taken for still")


if __name__ == "__main__":
    main()
