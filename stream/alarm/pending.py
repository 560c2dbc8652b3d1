"""Clips that wait until it is known that no alarm followed them. Only then are they learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, members, optional_number, pack, unpack

_SHORTEST_BLOCK: Final = 5.0
_MOST: Final = 4_096  # clips
_KEYS: Final = ("clips", "learn", "features", "feature_clips", "alarmed")


@dataclass(frozen=True)
class Batch:
    """What may be learned: `logits` (n,) that lasted `seconds`, up to `time`; features with (start, z, sketch (D,))."""

    time: float
    logits: NDArray[np.float64]
    seconds: float
    features: tuple[tuple[float, float, FloatArray], ...]


class Pending:
    """The clips of about the last minute of one camera, in order."""

    def __init__(self, settings: CalibrationSettings) -> None:
        self._guard = settings.guard_seconds
        self._longest = settings.block_seconds
        self._spacing = settings.memory_seconds
        self.clips: list[tuple[float, float, float]] = []  # start, end, logit
        self.learn: list[bool] = []
        self._features: list[tuple[float, float, FloatArray]] = []
        self._alarmed: float | None = None  # end of the last clip inside an alarm

    def add(self, start: float, end: float, logit: float, *, learn: bool) -> None:
        """Add a clip. One inside an alarm removes those of `guard_seconds` before it, and blocks those after it."""
        if not learn:
            self._alarmed = end
            first = start - self._guard
            for place in range(len(self.clips) - 1, -1, -1):
                if self.clips[place][0] < first or not self.learn[place]:
                    break
                self.learn[place] = False
            self._features = [feature for feature in self._features if feature[0] < first]
        self.clips.append((start, end, logit))
        self.learn.append(learn and not self.held_off(start))

    def add_feature(self, start: float, z: float, vector: FloatArray) -> None:
        """Add the sketch of a clip that is to be learned, unless one was added just before."""
        if not self._features or start - self._features[-1][0] >= self._spacing:
            self._features.append((start, z, vector))

    def held_off(self, start: float) -> bool:
        """Whether a clip comes too soon after an alarm."""
        return self._alarmed is not None and start < self._alarmed + self._guard

    def end_alarm(self) -> None:
        """What counted as an alarm no longer does: nothing is blocked."""
        self._alarmed = None

    def due(self, learnt: float) -> bool:
        """Whether a batch is complete."""
        return self.clips[-1][1] - self.clips[0][0] >= self.block(learnt) + self._guard or len(self.clips) >= _MOST

    def block(self, learnt: float) -> float:
        """Seconds of a batch: few while little has been `learnt` (seconds)."""
        return min(self._longest, max(_SHORTEST_BLOCK, 0.1 * learnt))

    def take(self, *, everything: bool = False) -> Batch:
        """The clips older than the guard, or all of them; the others stay."""
        newest = self.clips[-1][1]
        count = len(self.clips)
        if not everything:
            last = newest - self._guard
            while count and self.clips[count - 1][0] >= last:
                count -= 1
        taken = [clip for clip, learn in zip(self.clips[:count], self.learn[:count], strict=True) if learn]
        time = self.clips[count - 1][1] if count else self.clips[0][0]
        features = tuple(feature for feature in self._features if everything or feature[0] < time)
        self._features = self._features[len(features) :]
        del self.clips[:count], self.learn[:count]
        logits = np.array([logit for _, _, logit in taken], np.float64)
        return Batch(time, logits, sum(end - start for start, end, _ in taken), features)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        length = len(self._features[0][2]) if self._features else 0
        vectors = np.array([vector for _, _, vector in self._features], np.float16).reshape(len(self._features), length)
        return {
            "clips": pack(np.array(self.clips, np.float64).reshape(-1, 3)),
            "learn": pack(np.array(self.learn, np.bool_)),
            "features": pack(vectors),
            "feature_clips": pack(np.array([f[:2] for f in self._features], np.float64).reshape(-1, 2)),
            "alarmed": self._alarmed,
        }

    @classmethod
    def from_json(cls, value: object, settings: CalibrationSettings, length: int) -> Pending:
        """Raises CalibrationError for invalid content; `length` is that of the sketches."""
        given = members(value, "pending", _KEYS)
        found = cls(settings)
        clips = unpack(given["clips"], "pending clips", "<f8", (None, 3))
        if len(clips) > _MOST or (clips[:, 1] <= clips[:, 0]).any():
            raise CalibrationError(f"calibration: more than {_MOST} pending clips, or one that ends before it starts")
        found.clips = [(row[0], row[1], row[2]) for row in clips.tolist()]
        found.learn = unpack(given["learn"], "pending learn", "|b1", (len(clips),)).tolist()
        vectors = unpack(given["features"], "pending features", "<f2", (None, None)).astype(np.float32)
        if len(vectors) > _MOST or (len(vectors) and length != vectors.shape[1]):
            raise CalibrationError(f"calibration: pending features are {vectors.shape}, expected (n, {length})")
        places = unpack(given["feature_clips"], "pending feature_clips", "<f8", (len(vectors), 2)).tolist()
        found._features = [(start, z, vector) for (start, z), vector in zip(places, vectors, strict=True)]
        found._alarmed = optional_number(given["alarmed"], "pending alarmed")
        return found
