"""Computes the score of an alarm again: from its stored features, and from the frames of its saved clip.

The clip's metadata state when its first frame was taken, and the window states when each of its clips began. The
matching frame may be off by a few, because the clock of a live camera is estimated. So neighbouring frames are tried as
well, and the one whose feature agrees is the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import av.error
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
from stream.camera.clip_file import FIRST_PICTURE

SAME_ENGINE: Final = 1e-3
OTHER_ENGINE: Final = 2e-2
_FARTHEST: Final = 8  # number of frames by which the estimate may be off


@dataclass(frozen=True)
class Reproduction:
    """Scores in [0, 1]; `error` is the largest |a - b| / |a| of the `compared` features, `distance` is 1 - cosine.

    again: the score of the stored features. from_pictures: the score with features computed from the saved clip; None
    if not compared, as `no_pictures` explains.
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

    @property
    def agrees(self) -> bool:
        scores = [self.again] + ([] if self.from_pictures is None else [self.from_pictures])
        return all(abs(score - self.recorded) <= self.limit for score in scores) and self.distance <= self.limit


def reproduce(engine: Engine, window: StoredExplanation, recorded_backend: str, clip: Path | None) -> Reproduction:
    """Score the window again with the engine. Raises StreamError if it does not match the bundle."""
    manifest = engine.manifest
    if window.features.shape[1:] != (manifest.crops, manifest.channels):
        raise StreamError(
            f"the event's features are {window.features.shape}, the bundle takes "
            f"(T, {manifest.crops}, {manifest.channels}): it is not the bundle that scored the event"
        )
    again = float(engine.scores([window.features])[0][-1])
    limit = SAME_ENGINE if engine.backend.name == recorded_backend else OTHER_ENGINE
    found: dict[int, FloatArray] = {}
    try:
        if clip is None:
            raise StreamError("the event's clip is not stored")
        epochs, pictures = _pictures(clip, window.times[-1, 1])
        step = _step(window, epochs)
        cropper = ClipCropper(window.view, manifest.geometry)
        found = dict(_matched(window, epochs, lambda first: _feature(engine, cropper, pictures, first, step), limit))
        reason = "" if found else "no clip of the window lies within the saved clip"
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
        float(engine.scores([features])[0][-1]) if found else None, reason,
    )  # fmt: skip


def _pictures(clip: Path, until: float) -> tuple[np.ndarray, list[VideoFrame]]:
    """Epoch times, (n,), and the frames up to a second after `until`."""
    times: list[float] = []
    pictures: list[VideoFrame] = []
    try:
        with av.open(str(clip)) as container:
            comment = container.metadata.get("comment", "")
            if not comment.startswith(FIRST_PICTURE):
                raise StreamError(f"{clip.name}: has no start time (an earlier version wrote it)")
            begin = float(comment.removeprefix(FIRST_PICTURE))
            for frame in container.decode(video=0):
                pictures.append(frame)
                times.append(float(frame.time or 0.0))
                if begin + times[-1] - times[0] > until + 1:
                    break
    except (av.error.FFmpegError, OSError) as error:
        raise StreamError(f"{clip.name}: not readable as video: {getattr(error, 'strerror', error)}") from None
    if not times:
        raise StreamError(f"{clip.name}: contains no frame")
    return begin + np.array(times) - times[0], pictures


def _step(window: StoredExplanation, epochs: np.ndarray) -> int:
    """k, if every k-th frame is part of a clip (for fast sources)."""
    if len(epochs) < 2:
        return 1
    in_clips = float(np.median(window.times[:, 1] - window.times[:, 0])) / CLIP_LENGTH
    return max(1, round(in_clips / float(np.median(np.diff(epochs)))))


def _feature(
    engine: Engine, cropper: ClipCropper, pictures: Sequence[VideoFrame], first: int, step: int
) -> FloatArray | None:
    if not 0 <= first <= len(pictures) - CLIP_LENGTH * step:
        return None
    for position, picture in enumerate(pictures[first : first + CLIP_LENGTH * step : step]):
        cropper.put(position, picture)
    clip = np.empty((1, engine.manifest.crops, CLIP_LENGTH, SIDE, SIDE, 3), np.uint8)
    cropper.write(0, clip[0])
    return np.asarray(engine.features(clip)[0], np.float32)


def _matched(
    window: StoredExplanation, epochs: np.ndarray, feature: Callable[[int], FloatArray | None], limit: float
) -> Iterator[tuple[int, FloatArray]]:
    """The number of a clip in the window and its feature from the frames, for each clip that the frames cover."""
    good = limit
    shift, margin = 0, _FARTHEST * float(np.median(np.diff(epochs))) if len(epochs) > 1 else 0.0
    for index in _computed(window.features):
        start, end = window.times[index]
        if start < epochs[0] + margin or end > epochs[-1] - margin:
            continue  # perhaps cut off at the beginning or end of the saved clip
        guess = int(np.argmin(np.abs(epochs - start)))
        best: tuple[float, int, FloatArray] | None = None
        for offset in sorted(range(-_FARTHEST, _FARTHEST + 1), key=lambda o: abs(o - shift)):
            found = feature(guess + offset)
            if found is None:
                continue
            error = _error(window.features[index], found)
            if best is None or error < best[0]:
                best = (error, offset, found)
            if error <= good:
                break
        if best is not None:
            # another arithmetic never comes within the limit: the offset of the first clip applies to the next ones
            shift = best[1]
            good = max(good, 2 * best[0]) if good == limit else good
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
