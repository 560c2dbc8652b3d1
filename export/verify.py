"""Every artefact of a bundle beside PyTorch, on the same clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.arrays import FloatArray, UInt8Array
from engine.backends import BACKENDS, installed
from engine.engine import Engine
from engine.window import WINDOW
from export.bundle import Sources

FEATURE_LIMIT: Final = 1e-4
SCORE_LIMIT: Final = 1e-3


@dataclass(frozen=True)
class Comparison:
    """One backend beside PyTorch. Score columns are None in a bundle without a head."""

    backend: str
    cosine: float
    relative_error: float
    score_change: float | None
    flips: int | None

    @property
    def passed(self) -> bool:
        """Whether features and scores stay within FEATURE_LIMIT and SCORE_LIMIT."""
        return self.relative_error <= FEATURE_LIMIT and (self.score_change or 0.0) <= SCORE_LIMIT


def verification_clips(clips: int, crops: int) -> UInt8Array:
    """Seeded patterns that move, uint8 (clips, crops, 16, 224, 224, 3): drifting blobs of colour."""
    rng = np.random.default_rng(20230207)
    out = np.empty((clips, crops, 16, 224, 224, 3), np.uint8)
    yy, xx = np.mgrid[0:224, 0:224].astype(np.float32)
    for clip in out.reshape(-1, 16, 224, 224, 3):
        ground = rng.uniform(0, 200, 3)
        blobs = [
            (rng.uniform(0, 224, 2), rng.normal(0, 5, 2), rng.uniform(8, 50), rng.uniform(-150, 150, 3))
            for _ in range(8)
        ]  # fmt: skip -- (place, speed, size, colour)
        for t, frame in enumerate(clip):
            picture = np.broadcast_to(ground, (224, 224, 3)).copy()
            for place, speed, size, colour in blobs:
                y, x = place + t * speed
                picture += np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * size**2))[..., None] * colour
            frame[:] = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255)
    return out


@torch.inference_mode()
def verify(sources: Sources, folder: Path, clips: int = 6) -> list[Comparison]:
    """Compare every installed backend on the bundle in `folder` with the networks it was made from.

    The windows are the clips' features over and over, of every length from 1 to 32: engines compile a graph of
    dynamic length by cases, and one of them may be wrong.
    """
    pictures = verification_clips(clips, sources.crops)
    flat = torch.from_numpy(pictures.reshape(-1, *pictures.shape[2:]))
    expected = torch.cat([sources.backbone(clip[None]) for clip in flat]).numpy()
    expected = expected.reshape(clips, sources.crops, -1)
    windows = _windows(expected)
    truth: NDArray[np.float32] | None = None
    if sources.head is not None:
        truth = np.array([sources.head(torch.from_numpy(w)[None]).scores[0, -1].item() for w in windows])
    rows = []
    for name in BACKENDS:
        if not installed(name):
            continue
        with Engine.open(folder, name, "cpu") as engine:
            features = np.concatenate([engine.features(clip[None]) for clip in pictures])
            rows.append(_compare(engine, features, expected, truth))
    return rows


def _windows(features: FloatArray) -> list[FloatArray]:
    return [features[np.arange(length) % len(features)] for length in range(1, WINDOW + 1)]


def _compare(
    engine: Engine, features: FloatArray, expected: FloatArray, truth: NDArray[np.float32] | None
) -> Comparison:
    a, b = features.reshape(len(features), -1), expected.reshape(len(expected), -1)
    cosine = float(((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))).min())
    error = float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())
    if truth is None:
        return Comparison(engine.backend.name, cosine, error, None, None)
    windows = _windows(features)
    scores = np.array([row[-1] for row in engine.scores(windows)])
    thresholds = engine.manifest.thresholds
    on = thresholds.on if thresholds else 0.5
    flips = int(((scores >= on) != (truth >= on)).sum())
    return Comparison(engine.backend.name, cosine, error, float(np.abs(scores - truth).max()), flips)
