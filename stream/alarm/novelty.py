"""A small memory of a camera's own ordinary features, and the distance of a new one from it.

The memory keeps what differs: a feature that resembles a remembered one refreshes it, and a full memory drops the older
of its two closest. After the first minutes it accepts only a few per hour, so that nothing fills it quickly.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError, members, optional_number, pack, unpack
from stream.alarm.sketch import distances

_FIRST: Final = 900.0  # seconds for which the memory fills quickly
_DAY: Final = 86_400.0
_NEAREST: Final = 2
_KEYS: Final = ("vectors", "seen", "began", "taken")


class FeatureMemory:
    """Sketches of ordinary clips, all of one length D; at most `settings.memory`.

    The first one takes the space of all of them: it fills over hours, in which the service must not grow.
    """

    def __init__(self, settings: CalibrationSettings) -> None:
        self._settings = settings
        self._make_room(0)
        self._began: float | None = None
        self._taken: float | None = None  # when the last one was taken
        self._usual = (0.0, 1.0)

    def _make_room(self, length: int) -> None:
        """For sketches of that length. Every page is written to, since only then does the system provide it."""
        most = self._settings.memory if length else 0
        self._count = 0
        self._every_vector: FloatArray = np.full((most, length), 0.0, np.float32)
        self._every_seen = np.full(most, 0.0)
        self._every_between: FloatArray = np.full((most, most), np.inf, np.float32)

    @property
    def _vectors(self) -> FloatArray:
        """(N, D)."""
        return self._every_vector[: self._count]

    @property
    def _seen(self) -> NDArray[np.float64]:
        """When each was last resembled, (N,)."""
        return self._every_seen[: self._count]

    @property
    def _between(self) -> FloatArray:
        """Distances among them, (N, N), infinite to oneself."""
        return self._every_between[: self._count, : self._count]

    def __len__(self) -> int:
        return self._count

    @property
    def known(self) -> bool:
        """Whether enough is remembered for novelty to count."""
        return len(self) >= max(3, self._settings.novelty_after)

    def novelty(self, vector: FloatArray) -> float:
        """Mean distance of a sketch (D,) to the two nearest, over the spread of such distances inside the memory.

        Counted from the median of those inside; 0 at least, `novelty_limit` at most, and 0 while too little is known.
        """
        if not self.known:
            return 0.0
        near = np.partition(distances(vector, self._vectors), _NEAREST - 1)[:_NEAREST]
        middle, spread = self._usual
        return min(max((float(near.sum()) / _NEAREST - middle) / spread, 0.0), self._settings.novelty_limit)

    def due(self, time: float) -> bool:
        """Whether a feature of that time may be offered: not too soon after the last one."""
        if self._began is None or self._taken is None:
            return True
        first = time - self._began < _FIRST
        wait = self._settings.memory_seconds if first else 3_600.0 / max(self._settings.memory_per_hour, 1e-3)
        return time - self._taken >= wait or time < self._taken

    def offer(self, vector: FloatArray, time: float) -> None:
        """Take a sketch (D,) of an ordinary clip, if it is due."""
        if not self.due(time):
            return
        self._began = time if self._began is None else self._began
        self._taken = time
        self._drop(self._seen >= time - self._settings.memory_days * _DAY)
        if len(self) < self._settings.memory:
            self._append(vector, time)
        else:
            self._replace(vector, time)
        self._measure()

    def _append(self, vector: FloatArray, time: float) -> None:
        if not len(self._every_vector):
            self._make_room(len(vector))
        row, count = distances(vector, self._vectors), self._count
        self._count += 1
        self._vectors[count], self._seen[count] = vector, time
        self._between[count, :count] = self._between[:count, count] = row
        self._between[count, count] = np.inf

    def _replace(self, vector: FloatArray, time: float) -> None:
        row = distances(vector, self._vectors)
        nearest = int(np.argmin(row))
        first, second = divmod(int(np.argmin(self._between)), len(self))
        if row[nearest] <= self._between[first, second]:
            self._seen[nearest] = time
            return
        keep = np.ones(len(self), np.bool_)
        keep[first if self._seen[first] <= self._seen[second] else second] = False
        self._drop(keep)
        self._append(vector, time)

    def _drop(self, keep: np.ndarray) -> None:
        if keep.all():
            return
        kept = self._vectors[keep], self._seen[keep], self._between[np.ix_(keep, keep)]
        self._count = len(kept[0])
        self._vectors[:], self._seen[:], self._between[:] = kept

    def _measure(self) -> None:
        """Median and spread of the distances of the remembered ones to their own two nearest."""
        if len(self) < 3:
            return
        near = np.partition(self._between, _NEAREST - 1, axis=1)[:, :_NEAREST].sum(axis=1) / np.float32(_NEAREST)
        spread = max(float(near.std()), self._settings.novelty_least)
        self._usual = (float(np.median(near)), spread)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "vectors": pack(self._vectors.astype(np.float16)),
            "seen": pack(self._seen),
            "began": self._began,
            "taken": self._taken,
        }

    @classmethod
    def from_json(cls, value: object, settings: CalibrationSettings, length: int) -> FeatureMemory:
        """Raises CalibrationError for invalid content, and for sketches of another length than `length`."""
        given = members(value, "features", _KEYS)
        found = cls(settings)
        vectors = unpack(given["vectors"], "features vectors", "<f2", (None, None)).astype(np.float32)
        count, width = vectors.shape
        if count > settings.memory or (count and width != length):
            most = f"{settings.memory} x {length}"
            raise CalibrationError(f"calibration: features are {count} x {width}, expected at most {most}")
        seen = unpack(given["seen"], "features seen", "<f8", (count,))
        for vector, time in zip(vectors, seen.tolist(), strict=True):
            found._append(vector, time)
        found._began = optional_number(given["began"], "features began")
        found._taken = optional_number(given["taken"], "features taken")
        found._measure()
        return found
