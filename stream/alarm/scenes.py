"""A camera that shows several scenes in turn (pan-tilt-zoom tours) has one level for each of them.

A scene is recognised by the mean of its features. If another known scene is much closer, it is selected within seconds.
A new scene is opened if the image stays far from all known ones for longer than an incident lasts.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, items, members, number, optional_number, pack, unpack
from stream.alarm.level import Level
from stream.alarm.sketch import distances

_SMOOTH: Final = 3.0  # seconds over which a feature is averaged
_MUCH_NEARER: Final = 0.5
_TIMES_USUAL: Final = 6.0
_TOUR: Final = 3
_DAY: Final = 86_400.0
_LONGEST_MEAN: Final = 3_600.0
_SCENE_KEYS: Final = ("level", "centre", "usual", "weight", "seen")
_KEYS: Final = ("scenes", "current", "smoothed", "far_since")


class Scene:
    """The level of a scene, and how it is recognised: `centre` (D,), and the `usual` distance from it."""

    def __init__(self, level: Level, centre: FloatArray | None, seen: float) -> None:
        self.level = level
        self.centre = centre
        self.usual = 0.0
        self.weight = 0.0  # seconds from which the centre was learned
        self.seen = seen

    def absorb(self, vector: FloatArray, seconds: float) -> None:
        """Move the centre towards a smoothed sketch (D,)."""
        if self.centre is None:
            self.centre = vector.copy()
        self.weight += seconds
        share = np.float32(min(1.0, seconds / min(_LONGEST_MEAN, max(self.weight, seconds))))
        distance = float(distances(vector, self.centre[None])[0])
        self.centre = self.centre + share * (vector - self.centre)
        self.usual += float(share) * (distance - self.usual)


class Scenes:
    """The scenes of one camera. `level` is that of the current scene."""

    def __init__(self, settings: CalibrationSettings) -> None:
        self._settings = settings
        self._scenes = [Scene(Level(settings), None, -math.inf)]
        self._current = 0
        self._smoothed: FloatArray | None = None
        self._far_since: float | None = None
        self._returns: deque[float] = deque(maxlen=_TOUR)  # when a known scene came back

    def __len__(self) -> int:
        return len(self._scenes)

    @property
    def level(self) -> Level:
        """The level of the current scene."""
        return self._scenes[self._current].level

    def on_tour(self, time: float) -> bool:
        """Whether the camera shows several scenes in turn: known ones came back lately."""
        return len(self._returns) == _TOUR and time - self._returns[0] < _DAY

    def watch(self, vector: FloatArray, time: float, seconds: float, *, learn: bool) -> str | None:
        """Take a clip's sketch (D,). Returns "other" if another known scene is now current, "new" for a new one.

        A new scene is opened, and a centre moved, only by clips outside alarms (`learn`).
        """
        self._smooth(vector, seconds)
        place = self._place(time, learn=learn)
        change = None
        if place != self._current:
            change = "other" if place < len(self._scenes) else "new"
            if change == "new":
                place = self._open(time)
            else:
                self._returns.append(time)
            self._current, self._far_since = place, None
        scene = self._scenes[self._current]
        scene.seen = time
        smoothed = self._smoothed
        if learn and smoothed is not None and self._far_since is None:
            scene.absorb(smoothed, seconds)
        return change

    def _smooth(self, vector: FloatArray, seconds: float) -> None:
        if self._smoothed is None:
            self._smoothed = vector.copy()
        share = np.float32(1 - math.exp(-seconds / _SMOOTH))
        self._smoothed = self._smoothed + share * (vector - self._smoothed)

    def _place(self, time: float, *, learn: bool) -> int:
        """The scene to which the image belongs; the number of scenes for a new one."""
        current, smoothed = self._scenes[self._current], self._smoothed
        if smoothed is None or current.centre is None or self._settings.scenes == 1:
            return self._current
        far = [math.inf if s.centre is None else float(distances(smoothed, s.centre[None])[0]) for s in self._scenes]
        nearest = int(np.argmin(far))
        if far[nearest] < _MUCH_NEARER * far[self._current]:
            return nearest
        limit = max(self._settings.scene_distance, _TIMES_USUAL * current.usual)
        if far[nearest] <= limit or not learn:
            self._far_since = None
            return self._current
        self._far_since = time if self._far_since is None else min(self._far_since, time)
        return len(self._scenes) if time - self._far_since >= self._settings.scene_seconds else self._current

    def _open(self, time: float) -> int:
        """Open a new scene in a free place, or in that of the one not seen for longest."""
        assert self._smoothed is not None  # noqa: S101 -- `_place` found it far away
        scene = Scene(Level(self._settings), self._smoothed.copy(), time)
        if len(self._scenes) < self._settings.scenes:
            self._scenes.append(scene)
            return len(self._scenes) - 1
        place = min(range(len(self._scenes)), key=lambda at: self._scenes[at].seen)
        self._scenes[place] = scene
        return place

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "scenes": [
                {
                    "level": scene.level.to_json(),
                    "centre": None if scene.centre is None else pack(scene.centre),
                    "usual": scene.usual,
                    "weight": scene.weight,
                    "seen": None if math.isinf(scene.seen) else scene.seen,
                }
                for scene in self._scenes
            ],
            "current": self._current,
            "smoothed": None if self._smoothed is None else pack(self._smoothed),
            "far_since": self._far_since,
        }

    @classmethod
    def from_json(cls, value: object, settings: CalibrationSettings, length: int) -> Scenes:
        """Raises CalibrationError for invalid content; `length` is that of the sketches."""
        given = members(value, "scenes", _KEYS)
        found = cls(settings)
        found._scenes = []
        for item in items(given["scenes"], "scenes", settings.scenes):
            kept = members(item, "scene", _SCENE_KEYS)
            seen = optional_number(kept["seen"], "scene seen")
            centre = None if kept["centre"] is None else unpack(kept["centre"], "scene centre", "<f4", (length,))
            scene = Scene(Level.from_json(kept["level"], settings), centre, -math.inf if seen is None else seen)
            scene.usual = number(kept["usual"], "scene usual", 0)
            scene.weight = number(kept["weight"], "scene weight", 0)
            found._scenes.append(scene)
        if not found._scenes:
            raise CalibrationError("calibration: scenes is empty")
        found._current = int(number(given["current"], "scenes current", 0, len(found._scenes) - 1))
        if given["smoothed"] is not None:
            found._smoothed = unpack(given["smoothed"], "scenes smoothed", "<f4", (length,))
        found._far_since = optional_number(given["far_since"], "scenes far_since")
        return found
