"""Detects a camera that no longer sees its scene: covered, blinded, frozen, moved. Pure: images and times are passed
in.

Uniform and frozen images are detected with simple statistics. A moved camera is detected in the features: the mean of
the last window is further from the long-term mean of the site than it ever was.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array

_FLAT: Final = 6.0  # standard deviation of brightness, of 255
_DARK, _BRIGHT = 45.0, 210.0
_FLAT_FOR: Final = 10.0
_FROZEN_FOR: Final = 30.0
_MOVED_FOR: Final = 60.0
_ACCEPTED_AFTER: Final = 1_800.0  # a scene that stays is the scene
_LEARNT_AFTER: Final = 600.0
_MEMORY: Final = 3_600.0  # seconds over which the long-term mean forgets
_FAR: Final = 6.0  # times the usual distance
# 1 - cosine, seen on five recordings: at most 0.007 within a scene, at least 0.033 to another one
_LEAST_DISTANCE: Final = 0.02
_STEP: Final = 8


class SceneWatch:
    """One camera. `problem` is "" or describes the problem; times are seconds of the camera's clips."""

    def __init__(self) -> None:
        self.problem = ""
        self._before: UInt8Array | None = None
        self._since: dict[str, float] = {}
        self._mean: FloatArray | None = None
        self._usual = 0.0
        self._learnt = 0.0
        self._last: float | None = None

    def reset(self) -> None:
        """A new connection: earlier images prove nothing; the scene is the same."""
        self._before, self._last, self.problem = None, None, ""
        self._since.clear()

    def memory(self) -> str | None:
        """What is known of the scene, as text to be stored over a restart; None while it is unknown."""
        if self._mean is None or self._learnt < _LEARNT_AFTER:
            return None
        mean = base64.b64encode(self._mean.astype("<f4").tobytes()).decode()
        return json.dumps({"mean": mean, "usual": self._usual, "learnt": self._learnt})

    def recall(self, text: str) -> None:
        """Restore stored text; invalid text is ignored."""
        try:
            kept = json.loads(text)
            mean = np.frombuffer(base64.b64decode(kept["mean"], validate=True), "<f4").astype(np.float32)
            usual, learnt = float(kept["usual"]), float(kept["learnt"])
        except (ValueError, TypeError, KeyError):
            return
        if len(mean) and np.isfinite([usual, learnt]).all() and np.isfinite(mean).all():
            self._mean, self._usual, self._learnt = mean, usual, learnt

    def see(
        self, picture: UInt8Array, window: Sequence[FloatArray] | FloatArray, at: float, *, tour: bool = False
    ) -> None:
        """A clip ended at `at`: its last frame (224, 224, 3), and the features (T, crops, C) of its window.

        `tour`: the camera shows several scenes in turn, so another scene is no fault.
        """
        step = 0.0 if self._last is None else min(5.0, max(0.0, at - self._last))
        self._last = at
        small = picture[::_STEP, ::_STEP]
        brightness = small.mean(axis=2)
        found = ""
        if self._lasts("flat", float(brightness.std()) < _FLAT, at, _FLAT_FOR):
            level = float(brightness.mean())
            found = "blinded" if level > _BRIGHT else "covered or dark" if level < _DARK else "covered"
            found = f"{found}: the image is uniform"
        same = self._before is not None and np.array_equal(small, self._before)
        self._before = small.copy()
        if not found and self._lasts("frozen", same, at, _FROZEN_FOR):
            found = "frozen: the image does not change"
        moved = self._moved(np.asarray(window, np.float32), at, step, known=not found and not tour)
        self.problem = found or moved

    def _lasts(self, what: str, holds: bool, at: float, span: float) -> bool:
        if not holds:
            self._since.pop(what, None)
            return False
        began = self._since.setdefault(what, at)
        if at < began:  # a clock that was set back
            began = self._since[what] = at
        return at - began >= span

    def _moved(self, window: FloatArray, at: float, step: float, *, known: bool) -> str:
        """Compares with the long-term mean of features, which is only updated while the image is good."""
        if not known:
            self._since.pop("moved", None)
            return ""
        now = np.sqrt(np.abs(window)).mean(axis=(0, 1))
        if self._mean is None or self._mean.shape != now.shape:
            self._mean, self._usual, self._learnt = now, 0.0, 0.0
            return ""
        cosine = float(now @ self._mean) / max(1e-9, float(np.linalg.norm(now) * np.linalg.norm(self._mean)))
        distance = 1 - cosine
        far = self._learnt >= _LEARNT_AFTER and distance > max(_LEAST_DISTANCE, _FAR * self._usual)
        moved = self._lasts("moved", far, at, _MOVED_FOR)
        if moved and at - self._since["moved"] >= _ACCEPTED_AFTER:
            self._mean, self._learnt, moved = now, 0.0, False
            self._since.pop("moved")
        if not far:
            share = min(1.0, step / max(1.0, min(_MEMORY, self._learnt)))
            self._mean = self._mean + share * (now - self._mean)
            self._usual += share * (distance - self._usual)
            self._learnt += step
        return "moved: the scene differs from the past" if moved else ""
