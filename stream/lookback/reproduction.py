"""Computes the score of an alarm again: from its stored features, and from the frames of its saved clip.

The clip's metadata state when its first frame was taken, and the window states when each of its clips began. The
matching frame may be a few frames away, because the clock of a live camera is estimated. So neighbouring frames are
tried as well, and the one whose feature agrees is the right one.

A clip with masks was encoded again. Its frames only resemble those that the model saw, so their features are compared,
and with a wider limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from av import VideoFrame

from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray
from engine.engine import Engine
from engine.geometry import SIDE
from engine.window import WINDOW
from stream.archive.explanation import StoredExplanation
from stream.base.errors import StreamError
from stream.camera.clip_cropper import ClipCropper
from stream.lookback.saved_clip import SavedClip

SAME_ENGINE: Final = 1e-3
OTHER_ENGINE: Final = 2e-2
# Median of 1 - cosine over three clips whose frames were encoded again: at most 0.029 in 1,199 runs of real footage
# with the default bundle. Between the views of two cameras it is at least 0.05.
FRAMES_ENCODED_AGAIN: Final = 3e-2
_FEWEST_ENCODED_AGAIN: Final = 3
_EXACT: Final = 1e-5  # relative error of a feature of the same frames on the same engine
_FARTHEST: Final = 0.32  # seconds by which the estimate may be off


@dataclass(frozen=True)
class Reproduction:
    """Scores in [0, 1]; `error` is the largest |a - b| / |a| of the `compared` features, `distance` the largest
    1 - cosine, and `typical_distance` its median.

    again: the score of the stored features. from_pictures: the score with features computed from the saved clip; None
    if not compared, as `no_pictures` explains.
    encoded_again: the frames of the saved clip only resemble those that the model saw. Instead of the score from them,
    `typical_distance` must be within `frames_limit`. Otherwise both scores and `distance` must be within `limit`.
    """

    recorded: float
    again: float
    backend: str
    recorded_backend: str
    limit: float
    compared: int
    error: float
    distance: float
    from_pictures: float | None
    no_pictures: str
    encoded_again: bool
    typical_distance: float
    frames_limit: float

    @property
    def agrees(self) -> bool:
        if abs(self.again - self.recorded) > self.limit:
            return False
        if self.from_pictures is None:
            return True
        if self.encoded_again:
            return self.typical_distance <= self.frames_limit
        return abs(self.from_pictures - self.recorded) <= self.limit and self.distance <= self.limit


def reproduce(engine: Engine, window: StoredExplanation, recorded_backend: str, path: Path | None) -> Reproduction:
    """Score the window again with the engine; `path` is the saved clip. Raises StreamError if the window does not match
    the bundle.
    """
    manifest = engine.manifest
    if window.features.shape[1:] != (manifest.crops, manifest.channels):
        raise StreamError(
            f"the event's features are {window.features.shape}, the bundle takes "
            f"(T, {manifest.crops}, {manifest.channels}): it is not the bundle that scored the event"
        )
    again = float(engine.scores([window.features])[0][-1])
    limit = SAME_ENGINE if engine.backend.name == recorded_backend else OTHER_ENGINE
    found: dict[int, FloatArray] = {}
    encoded_again, reason = False, ""
    try:
        if path is None:
            raise StreamError("the event's clip is not stored")
        saved = SavedClip.read(path, window.times[-1, 1])
        # clips of earlier versions do not say it, and those of cameras with masks nearly always were
        encoded_again = window.view.hides if saved.encoded_again is None else saved.encoded_again
        cropper = ClipCropper(window.view, manifest.geometry)
        exact = limit == SAME_ENGINE and not encoded_again
        found = dict(_matched(window, saved, lambda frames: _feature(engine, cropper, frames), exact=exact))
        if encoded_again and 0 < len(found) < _FEWEST_ENCODED_AGAIN:
            reason = (
                f"the saved clip was encoded again, which needs {_FEWEST_ENCODED_AGAIN} clips, and holds {len(found)}"
            )
            found = {}
        elif not found:
            reason = "no clip of the window lies within the saved clip"
    except StreamError as error:
        reason = str(error)
    features = window.features.copy()
    for index, feature in found.items():
        features[index] = feature
    errors = [_error(window.features[i], feature) for i, feature in found.items()]
    distances = [_distance(window.features[i], feature) for i, feature in found.items()]
    return Reproduction(
        window.score, again, engine.backend.name, recorded_backend, limit, len(found),
        max(errors, default=0.0), max(distances, default=0.0),
        float(engine.scores([features])[0][-1]) if found else None, reason, encoded_again,
        float(np.median(distances)) if distances else 0.0, FRAMES_ENCODED_AGAIN if encoded_again else limit,
    )  # fmt: skip


def _feature(engine: Engine, cropper: ClipCropper, frames: Sequence[VideoFrame]) -> FloatArray:
    for position, frame in enumerate(frames):
        cropper.put(position, frame)
    clip = np.empty((1, engine.manifest.crops, CLIP_LENGTH, SIDE, SIDE, 3), np.uint8)
    cropper.write(0, clip[0])
    return np.asarray(engine.features(clip)[0], np.float32)


def _matched(
    window: StoredExplanation,
    saved: SavedClip,
    feature: Callable[[Sequence[VideoFrame]], FloatArray],
    *,
    exact: bool,
) -> Iterator[tuple[int, FloatArray]]:
    """The number of a clip in the window and its feature from the frames, for each clip that the frames cover.

    exact: the right frames give the same feature; each clip is searched until it is found.
    """
    epochs = saved.epochs
    good, shift = _EXACT, 0.0
    reach = max(_FARTHEST, 2 * float(np.median(np.diff(epochs)))) if len(epochs) > 1 else 0.0
    for index in _computed(window.features):
        start, end = window.times[index]
        if start < epochs[0] + reach or end > epochs[-1] - reach:
            continue  # perhaps cut off at the beginning or end of the saved clip
        best: tuple[float, float, FloatArray] | None = None
        for first in saved.starts_near(start, shift, reach):
            frames = saved.clip(first, end - start)
            if frames is None:
                continue
            found = feature(frames)
            error = _error(window.features[index], found)
            if best is None or error < best[0]:
                best = (error, float(epochs[first]) - start, found)
            if error <= good:
                break
        if best is not None:
            shift = best[1]
            if not exact and good == _EXACT:  # the shift of the first clip applies to the next ones
                good = max(good, 2 * best[0])
            yield index, best[2]


def _computed(features: FloatArray) -> list[int]:
    """The clips of a window whose features are surely their own.

    Where nothing moved, clips may share one (the still gate), the first of a full window with an earlier one.
    """
    shared = (features[1:] == features[:-1]).all(axis=(1, 2))
    before, after = np.append(len(features) == WINDOW, shared), np.append(shared, False)
    return [int(index) for index in np.flatnonzero(~before & ~after)]


def _error(expected: FloatArray, found: FloatArray) -> float:
    return float(np.linalg.norm(expected - found) / max(1e-12, float(np.linalg.norm(expected))))


def _distance(expected: FloatArray, found: FloatArray) -> float:
    norms = float(np.linalg.norm(expected) * np.linalg.norm(found))
    return max(0.0, 1 - float((expected * found).sum()) / max(1e-12, norms))
