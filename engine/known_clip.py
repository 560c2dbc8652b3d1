"""A clip whose features and score are known: PyTorch's answer is in the bundle, and every backend must give it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.bundle import Bundle
from engine.errors import BundleError
from engine.geometry import SIDE
from engine.window import WINDOW

ANSWER: Final = "known-answer.npy"
# Largest relative error of the features, and largest change of the score, by the arithmetic of the backend. A backend
# that computes wrongly was 33 % off.
ALLOWED: Final[dict[Form, tuple[float, float]]] = {"float32": (1e-3, 1e-3), "fp16": (2e-2, 2e-2), "int8": (0.2, 0.1)}


def known_clip(crops: int) -> UInt8Array:
    """uint8 (crops, 16, 224, 224, 3): a bright square crosses a gradient. Integers only, so it is the same anywhere."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    ground = np.stack([40 + x // 2, 40 + y // 2, 60 + (x + y) // 4], axis=-1)
    clip = np.repeat(ground[None].astype(np.uint8), CLIP_LENGTH, axis=0)
    for frame, picture in enumerate(clip):
        left, top = 20 + 8 * frame, 60 + 4 * frame
        picture[top : top + 48, left : left + 48] = (220, 180 - 4 * frame, 60)
    return np.repeat(clip[None], crops, axis=0)


def known_window(features: FloatArray) -> FloatArray:
    """The window that is scored: features (crops, C) of the known clip -> (32, crops, C)."""
    return np.repeat(features[None], WINDOW, axis=0)


@dataclass(frozen=True)
class Answer:
    """Features of the known clip, float32 (crops, C), and the newest score of the known window, None without a head."""

    features: FloatArray
    score: float | None

    @classmethod
    def of(cls, bundle: Bundle) -> Answer | None:
        """PyTorch's answer; None if the bundle was built before bundles contained it."""
        if ANSWER not in bundle.manifest.files:
            return None
        manifest = bundle.manifest
        try:
            numbers = np.load(bundle.file(ANSWER), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BundleError(f"bundle {bundle.path}: {ANSWER} cannot be read: {error}") from None
        count = manifest.crops * manifest.channels
        if numbers.dtype != np.float32 or numbers.shape != (count + (manifest.head is not None),):
            raise BundleError(f"bundle {bundle.path}: {ANSWER} is {numbers.dtype} {numbers.shape}")
        features = numbers[:count].reshape(manifest.crops, manifest.channels)
        return cls(features, float(numbers[count]) if manifest.head is not None else None)

    def numbers(self) -> FloatArray:
        """As it is stored."""
        last = [] if self.score is None else [self.score]
        return np.concatenate([self.features.ravel(), np.array(last, np.float32)])

    def fault(self, found: Answer, form: Form) -> str:
        """How far another answer is from this one, if that is more than the arithmetic explains; else ""."""
        most_features, most_score = ALLOWED[form]
        error = float(np.linalg.norm(found.features - self.features) / max(1e-12, float(np.linalg.norm(self.features))))
        if not error <= most_features:
            return f"its features of the known clip are {100 * error:.2g} % off (at most {100 * most_features:g} %)"
        if self.score is None or found.score is None or abs(found.score - self.score) <= most_score:
            return ""
        return f"its score of the known clip is {found.score:.4f} instead of {self.score:.4f}"
