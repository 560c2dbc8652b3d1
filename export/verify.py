"""Compares every artefact of a bundle with PyTorch, on the same clips."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray, UInt8Array
from engine.backends import BACKENDS, installed, start_backend
from engine.backends.base import Form
from engine.bundle import Bundle
from engine.engine import Engine
from engine.errors import NotFiniteError
from engine.window import WINDOW
from export.bundle import Sources

# float32 and half precision: largest relative error of a feature, largest change of a score
FEATURE_LIMIT: Final = 1e-4
SCORE_LIMIT: Final = 1e-3
HALF_FEATURE_LIMIT: Final = 1e-2
HALF_SCORE_LIMIT: Final = 1e-2
# INT8: lowest cosine of a feature; an alarm may change only if its float32 score is this close to the threshold
INT8_COSINE: Final = 0.99
INT8_FLIP_MARGIN: Final = 0.02


@dataclass(frozen=True)
class Comparison:
    """One backend compared with PyTorch. Score columns are None in a bundle without a head.

    `flips` counts alarms that change, `far_flips` those whose float32 score is further than INT8_FLIP_MARGIN from the
    threshold. `kind_change` is the largest change of a kind's share, None if the head distinguishes none.
    """

    backend: str
    form: Form
    cosine: float
    relative_error: float
    score_change: float | None
    flips: int | None
    far_flips: int
    kind_change: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it is within the limits of its form."""
        if self.form == "int8":
            return self.cosine >= INT8_COSINE and not self.far_flips
        features, scores = self._limits
        changes = (self.score_change or 0.0, self.kind_change or 0.0)
        return self.relative_error <= features and all(change <= scores for change in changes)

    @property
    def allowed(self) -> str:
        """The limits of its form, for display."""
        if self.form == "int8":
            return f"cosines from {INT8_COSINE:g} and changed alarms within {INT8_FLIP_MARGIN:g} of the threshold"
        features, scores = self._limits
        return f"features within {features:g}, scores and shares of kinds within {scores:g} of PyTorch"

    @property
    def _limits(self) -> tuple[float, float]:
        return (HALF_FEATURE_LIMIT, HALF_SCORE_LIMIT) if self.form == "fp16" else (FEATURE_LIMIT, SCORE_LIMIT)


@dataclass(frozen=True)
class Reference:
    """Clips, uint8 (K, crops, 16, 224, 224, 3), and PyTorch's results in float32.

    `scores`: the newest score of windows of each length from 1 to 32, filled with the clips' features in turn. Engines
    compile a graph of dynamic length by cases, and one of them may be wrong. None without a head.
    """

    clips: UInt8Array
    features: FloatArray
    scores: NDArray[np.float32] | None
    kinds: NDArray[np.float32] | None = None


def verification_clips(clips: int, crops: int) -> UInt8Array:
    """Seeded moving patterns, uint8 (clips, crops, 16, 224, 224, 3): drifting blobs of colour."""
    rng = np.random.default_rng(20230207)
    out = np.empty((clips, crops, CLIP_LENGTH, 224, 224, 3), np.uint8)
    yy, xx = np.mgrid[0:224, 0:224].astype(np.float32)
    for clip in out.reshape(-1, CLIP_LENGTH, 224, 224, 3):
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
def reference(sources: Sources, clips: UInt8Array) -> Reference:
    """Run PyTorch on `clips`."""
    flat = torch.from_numpy(clips.reshape(-1, *clips.shape[2:]))
    features = torch.cat([sources.backbone(clip[None]) for clip in flat]).numpy()
    features = features.reshape(*clips.shape[:2], -1)
    if sources.head is None:
        return Reference(clips, features, None)
    outputs = [sources.head(torch.from_numpy(window)[None]) for window in _windows(features)]
    scores = np.array([out.scores[0, -1].item() for out in outputs], np.float32)
    kinds = np.stack([out.parts[0, -1].softmax(0).numpy() for out in outputs]) if sources.kinds else None
    return Reference(clips, features, scores, kinds)


def verify(
    sources: Sources, folder: Path, clips: int = 4, say: Callable[[str], None] = lambda _name: None
) -> list[Comparison]:
    """Compare the bundle in `folder` with its networks, on every installed backend that it has artefacts for.

    `say` is called with each backend's name before it runs. INT8 is not included: it is verified on footage, see
    `export.int8`. TensorRT runs if the bundle contains its plans.
    """
    expected = reference(sources, verification_clips(clips, sources.crops))
    files = Bundle.open(folder).manifest.files
    plans = any(name.endswith(".plan") for name in files)
    rows = []
    for name in BACKENDS:
        row = BACKENDS[name]
        if installed(name) and row.file in files and row.form != "int8" and ("cpu" in row.kinds or plans):
            say(name)
            rows.append(compare(name, folder, expected))
    return rows


def compare(name: str, folder: Path, expected: Reference) -> Comparison:
    """Run the bundle in `folder` on the backend called `name`, and compare with `expected`.

    If it returns NaN or infinity, all figures are NaN, which is outside all limits.
    """
    row, bundle = BACKENDS[name], Bundle.open(folder)
    backend = start_backend(bundle, name, "cpu" if "cpu" in row.kinds else "cuda")
    try:
        return _compared(bundle, row.form, Engine(bundle, backend, "verified"), expected)
    except NotFiniteError:
        return Comparison(name, row.form, math.nan, math.nan, math.nan, None, 0)


def _compared(bundle: Bundle, form: Form, opened: Engine, expected: Reference) -> Comparison:
    with opened as engine:
        name = engine.backend.name
        features = np.concatenate([engine.features(clip[None]) for clip in expected.clips])
        a, b = features.reshape(len(features), -1), expected.features.reshape(len(features), -1)
        lengths = np.linalg.norm(b, axis=1)
        cosine = float(((a * b).sum(1) / (np.linalg.norm(a, axis=1) * lengths)).min())
        error = float((np.linalg.norm(a - b, axis=1) / lengths).max())
        if expected.scores is None:
            return Comparison(name, form, cosine, error, None, None, 0)
        scores = np.array([scored[-1] for scored in engine.scores(_windows(features))])
        kind_change = None
        if expected.kinds is not None:
            kinds = np.stack([engine.kind_shares(window)[-1] for window in _windows(features)])
            kind_change = float(np.abs(kinds - expected.kinds).max())
    thresholds = bundle.manifest.thresholds
    on = thresholds.on if thresholds else 0.5
    flipped = (scores >= on) != (expected.scores >= on)
    far = flipped & (np.abs(expected.scores - on) > INT8_FLIP_MARGIN)
    change = float(np.abs(scores - expected.scores).max())
    return Comparison(name, form, cosine, error, change, int(flipped.sum()), int(far.sum()), kind_change)


def _windows(features: FloatArray) -> list[FloatArray]:
    return [features[np.arange(length) % len(features)] for length in range(1, WINDOW + 1)]
