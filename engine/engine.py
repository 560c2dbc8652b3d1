"""The engine: clips of any cameras to features, windows to scores. Independent of cameras and alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray, UInt8Array
from engine.backends import open_backend, open_next
from engine.backends.base import Backend
from engine.bundle import Bundle
from engine.errors import BackendError, BundleError, EngineError, NotFiniteError
from engine.geometry import SIDE
from engine.known_clip import Answer, known_clip, known_window

_CLIP: Final = (CLIP_LENGTH, SIDE, SIDE, 3)
_SIZES: Final = ", ".join(map(str, _CLIP))


class Engine:
    """A verified bundle on a running backend. Context manager."""

    def __init__(
        self, bundle: Bundle, backend: Backend, reason: str, device: str = "auto", *, one_core: bool = False
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.backend = backend
        self.reason = reason
        self._device = device
        self._one_core = one_core
        self._failed: list[str] = []
        self._answer = Answer.of(bundle)

    @classmethod
    def open(
        cls, path: Path, backend: str = "auto", device: str = "auto", *, float32: bool = False, one_core: bool = False
    ) -> Self:
        """Open the bundle at `path` on a backend that gives the known answer; `one_core` as for `open_backend`.

        Raises BundleError, or BackendError (see `open_backend`), also if the named backend computes wrongly.
        """
        bundle = Bundle.open(path)
        opened = open_backend(bundle, backend, device, float32=float32, one_core=one_core)
        engine = cls(bundle, *opened, device, one_core=one_core)
        while fault := engine.fault():
            wrong = f"backend {engine.backend.name} computes wrongly: {fault}"
            if backend != "auto":
                engine.backend.close()
                raise BackendError(wrong)
            engine.give_way()
            engine.reason = wrong
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.backend.close()

    def give_way(self) -> None:
        """Replace a backend whose results are wrong by the next one that starts. Raises BackendError if there is
        none; the old one stays then.
        """
        if self.backend.name not in self._failed:
            self._failed.append(self.backend.name)
        backend = open_next(self.bundle, self._device, self._failed, one_core=self._one_core)
        with suppress(Exception):  # it may be broken
            self.backend.close()
        self.backend = backend
        self._answer = Answer.of(self.bundle)  # one of the old backend's own may be less exact than the new one

    def fault(self) -> str:
        """What is wrong with the backend's answer to the known clip, or "".

        A bundle that contains no answer is compared with the first one that was given.
        """
        try:
            features = self.features(known_clip(self.manifest.crops)[None])[0]
            score = None
            if self.manifest.head is not None:
                score = float(self.scores([known_window(features)])[0][-1])
        except EngineError as error:
            return str(error)
        found = Answer(features, score)
        if self._answer is None:
            self._answer = found
        return self._answer.fault(found, self.backend.precision)

    def features(self, clips: UInt8Array) -> FloatArray:
        """uint8 (N, crops, 16, 224, 224, 3) RGB -> float32 (N, crops, C).

        Raises BackendError for invalid arrays, and NotFiniteError if the backend returns NaN or infinity.
        """
        crops = self.manifest.crops
        if clips.dtype != np.uint8 or clips.ndim != 6 or clips.shape[1:] != (crops, *_CLIP):
            raise BackendError(f"clips are {clips.dtype} {clips.shape}, expected uint8 (N, {crops}, {_SIZES})")
        features = self._run(self.backend.features, clips.reshape(-1, *_CLIP)).reshape(len(clips), crops, -1)
        self._check_finite("features", features)
        return features

    def backbone_features(self, clips: UInt8Array) -> FloatArray:
        """One crop per clip, uint8 (N, 16, 224, 224, 3) RGB -> float32 (N, C), for any number of crops of the head.

        Raises the same errors as `features`.
        """
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[1:] != _CLIP:
            raise BackendError(f"clips are {clips.dtype} {clips.shape}, expected uint8 (N, {_SIZES})")
        features = self._run(self.backend.features, clips)
        self._check_finite("features", features)
        return features

    def _run(self, run: Callable[[Any], FloatArray], given: NDArray[Any]) -> FloatArray:
        """Call the backend. What its native library raises becomes a BackendError."""
        try:
            return run(given)
        except EngineError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[-1].strip()
            raise BackendError(f"backend {self.backend.name}: {type(error).__name__}: {reason}") from error

    def _check_finite(self, output: str, rows: Sequence[FloatArray] | FloatArray) -> None:
        bad = [index for index, row in enumerate(rows) if not np.isfinite(row).all()]
        if bad:
            raise NotFiniteError(self.backend.name, output, bad, len(rows))

    @property
    def published_channels(self) -> int:
        """The channels of the backbone's published feature: the last ones returned by `backbone_features`."""
        return list(self.manifest.layers.values())[-1] if self.manifest.layers else self.manifest.channels

    def scores(self, windows: Sequence[FloatArray]) -> list[FloatArray]:
        """Windows float32 (T, crops, C), 1 <= T <= 32, of any lengths -> float32 (T,) each, in the same order.

        Windows of the same length pass the head together. Raises BackendError for invalid arrays, NotFiniteError if the
        backend returns NaN or infinity, and BundleError if the bundle has no head.
        """
        if self.manifest.head is None:
            raise BundleError(f"bundle {self.bundle.path}: has no head, so it cannot score")
        by_length: dict[int, list[int]] = {}
        for index, window in enumerate(windows):
            self._check_window(window)
            by_length.setdefault(len(window), []).append(index)
        scores: list[FloatArray] = [np.empty(0, np.float32)] * len(windows)
        for indices in by_length.values():
            batch = self._run(
                self.backend.scores, np.stack([windows[i] for i in indices]).astype(np.float32, copy=False)
            )
            for index, row in zip(indices, batch, strict=True):
                scores[index] = row
        self._check_finite("scores", scores)
        return scores

    def _check_window(self, window: FloatArray) -> None:
        tail = (self.manifest.crops, self.manifest.channels)
        if window.ndim != 3 or window.shape[1:] != tail or not 1 <= len(window) <= self.manifest.window:
            raise BackendError(f"a window is {window.shape}, expected (1..{self.manifest.window}, {tail})")

    def kind_shares(self, window: FloatArray) -> FloatArray:
        """How the head's soft maximum over its kinds divides among them, for each clip of a window: float32
        (T, crops, C) -> float32 (T, K), each row summing to 1, in the order of the manifest's `kinds`.

        Raises BundleError if the bundle names no kinds, else as `scores` does.
        """
        if not self.manifest.kinds:
            raise BundleError(f"bundle {self.bundle.path}: its head does not distinguish kinds of incident")
        self._check_window(window)
        parts = self._run(self.backend.parts, window[None].astype(np.float32, copy=False))[0]
        self._check_finite("parts", parts)
        grown = np.exp(parts - parts.max(axis=1, keepdims=True))
        return np.asarray(grown / grown.sum(axis=1, keepdims=True))

    def contributions(self, window: FloatArray) -> FloatArray:
        """The contribution of each clip to the newest clip's score: float32 (T, crops, C) -> float32 (T,), score
        differences.

        By occlusion: each clip's feature in turn is replaced by the mean of the window's other clips, as if there had
        been only the scene. Negative: the clip lowered the score. In a window of one clip there is nothing to replace
        it with, and the whole score is its contribution. Raises the same errors as `scores`.
        """
        length = len(window)
        if length < 2:
            return np.array([row[-1] for row in self.scores([window])], np.float32)
        others = (window.sum(axis=0, keepdims=True) - window) / (length - 1)
        occluded = np.repeat(window[None], length, axis=0)
        occluded[np.arange(length), np.arange(length)] = others
        windows, at_once = [*occluded, window], self.backend.batch  # more at once would cost memory for each length
        parts = [self.scores(windows[first : first + at_once]) for first in range(0, len(windows), at_once)]
        *without, as_it_is = (row for part in parts for row in part)
        return np.array([as_it_is[-1] - row[-1] for row in without], np.float32)
