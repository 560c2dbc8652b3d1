"""What one camera's ordinary clips have taught: the level of each scene, and the features of ordinary clips. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, pair
from stream.alarm.level import Level
from stream.alarm.novelty import FeatureMemory
from stream.alarm.pending import Pending
from stream.alarm.scenes import Scenes

KEYS: Final = ("scenes", "features", "pending", "transform")
_KNOWN: Final = 240.0  # seconds of ordinary clips


class Ordinary:
    """Clips wait in `pending` until it is known that no alarm follows them; then the level and the memory learn."""

    def __init__(self, settings: CalibrationSettings) -> None:
        self._settings = settings
        self.scenes = Scenes(settings)
        self.features = FeatureMemory(settings)
        self.pending = Pending(settings)
        self.transform = self.scenes.level.transform(0.0)  # middle and spread of ordinary logits

    @property
    def level(self) -> Level:
        """The level of the current scene."""
        return self.scenes.level

    @property
    def known(self) -> bool:
        """The camera's own level is used, not only the prior."""
        return self.level.learnt >= _KNOWN

    def z(self, logit: float, vector: FloatArray | None) -> tuple[float, float]:
        """How far a clip is above the ordinary, in spreads, and its novelty, which is part of that."""
        middle, spread = self.transform
        novelty = 0.0 if vector is None else self.features.novelty(vector)
        return (logit - middle) / spread + self._settings.novelty_weight * novelty, novelty

    def watch_scene(self, vector: FloatArray, start: float, end: float, *, learn: bool) -> str | None:
        """Select the level of the scene that a clip shows; returns what has changed, like `Scenes.watch`."""
        level = self.level
        change = self.scenes.watch(vector, start, end - start, learn=learn)
        if change is None:
            return None
        if self.pending.clips:
            batch = self.pending.take(everything=True)
            level.learn(batch.time, batch.logits, batch.seconds)
        self.transform = self.level.transform(end)
        return change

    def add(self, start: float, end: float, logit: float, z: float, vector: FloatArray | None, *, learn: bool) -> None:
        """Add the next clip and its z, to be learned from later unless it is in an alarm (`learn` False)."""
        self.pending.add(start, end, logit, learn=learn)
        if vector is not None and self.pending.learn[-1] and self.features.due(start):
            self.pending.add_feature(start, z, vector)

    def learn_due(self, threshold: float) -> None:
        """Learn from the clips that have waited long enough; `threshold` as in `learn`."""
        if self.pending.due(self.level.learnt):
            self._learn(threshold, everything=False)

    def learn_all(self, threshold: float) -> None:
        """Learn from all waiting clips. `threshold`: the z that raises an alarm; clips that came close are not
        ordinary.
        """
        if self.pending.clips:
            self._learn(threshold, everything=True)

    def _learn(self, threshold: float, *, everything: bool) -> None:
        batch = self.pending.take(everything=everything)
        level = self.level
        level.learn(batch.time, batch.logits, batch.seconds)
        for start, z, vector in batch.features:
            if z < threshold / 2:
                self.features.offer(vector, start)
        self.transform = level.transform(batch.time)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, under `KEYS`."""
        return {
            "scenes": self.scenes.to_json(),
            "features": self.features.to_json(),
            "pending": self.pending.to_json(),
            "transform": list(self.transform),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any], settings: CalibrationSettings, length: int) -> Ordinary:
        """From a mapping with `KEYS`; vectors have `length`. Raises CalibrationError."""
        found = cls(settings)
        found.scenes = Scenes.from_json(given["scenes"], settings, length)
        found.features = FeatureMemory.from_json(given["features"], settings, length)
        found.pending = Pending.from_json(given["pending"], settings, length)
        found.transform = pair(given["transform"], "transform")
        if found.transform[1] <= 0:
            raise CalibrationError("calibration: the spread of transform must be above 0")
        return found
