"""Learns from verdicts: clips that resemble a false alarm of the same camera raise no alarm; `true` protects similar
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray
from stream.alarm.codec import CalibrationError, items, members, number, pack, unpack
from stream.alarm.requests import Verdict
from stream.alarm.sketch import distances, sketch

SCHEMA: Final = 1
_DAY: Final = 86_400.0
_MOST: Final = 64  # of each verdict; the oldest is dropped
_KEYS: Final = ("schema", "channels", "verdicts")
_VERDICT_KEYS: Final = ("id", "verdict", "time", "vector")


@dataclass(frozen=True)
class LookAlikeSettings:
    """Settings of look-alikes.

    days: until the example of a false alarm expires (0: none are used); examples of `true` alarms do not expire.
    similarity: cosine of features from which two clips count as alike.
    most_bonus: spreads added to a clip that equals a true alarm; 0 at `similarity`.

    Clips of one place are very similar (median 0.977). From 0.985 down, incidents would be taken for a false alarm of
    their camera (docs/benchmarks/budget.md).
    """

    days: float = 30.0
    similarity: float = 0.988
    most_bonus: float = 1.0
    size: int = 256  # numbers of a sketch
    power: float = 0.5


@dataclass(frozen=True, eq=False)
class Example:
    """The sketch (D,) of an alarm that the user judged at `time`."""

    id: str
    verdict: Verdict
    time: float
    vector: FloatArray


class LookAlikes:
    """The judged alarms of one camera."""

    def __init__(self, settings: LookAlikeSettings | None = None) -> None:
        self.settings = settings or LookAlikeSettings()
        self._examples: list[Example] = []
        self._channels: int | None = None

    def add(self, id: str, verdict: Verdict, feature: FloatArray, time: float) -> None:
        """Remember an alarm's feature (C,) float32; a later verdict on the same event replaces the earlier one.

        Raises ValueError for a feature of another length, or that is not finite.
        """
        vector = self._sketch(feature)
        self._channels = len(feature)
        self.revoke(id)
        self._examples.append(Example(id, verdict, time, vector))
        for other in [example for example in self._examples if example.verdict == verdict][:-_MOST]:
            self._examples.remove(other)

    def revoke(self, id: str) -> bool:
        """Withdraw a verdict. Returns whether there was one."""
        count = len(self._examples)
        self._examples = [example for example in self._examples if example.id != id]
        return len(self._examples) < count

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Verdict by event."""
        return {example.id: example.verdict for example in self._examples}

    def listed(self, time: float) -> list[tuple[Example, float | None]]:
        """The examples in force at `time`, each with its expiry (None: never)."""
        return [
            (example, example.time + self.settings.days * _DAY if example.verdict == "false_alarm" else None)
            for example in self._examples
            if self._holds(example, time)
        ]

    def match(self, feature: FloatArray, time: float) -> str | None:
        """The event marked as false that this feature (C,) resembles, unless it is as close to one marked as true."""
        false, true = self._nearest(feature, time)
        if false is None or false[0] > self._limit or (true is not None and true[0] <= false[0]):
            return None
        return false[1]

    def bonus(self, feature: FloatArray, time: float) -> float:
        """Spreads to add to z for a clip that resembles an alarm marked as true more than one marked as false."""
        false, true = self._nearest(feature, time)
        if true is None or true[0] >= self._limit or (false is not None and false[0] < true[0]):
            return 0.0
        return self.settings.most_bonus * (1 - true[0] / self._limit)

    @property
    def _limit(self) -> float:
        return 1 - self.settings.similarity

    def _holds(self, example: Example, time: float) -> bool:
        return example.verdict == "true" or time < example.time + self.settings.days * _DAY

    def _nearest(self, feature: FloatArray, time: float) -> tuple[tuple[float, str] | None, tuple[float, str] | None]:
        """Distance and event of the nearest false and the nearest true one."""
        if not self._examples:
            return None, None
        vector = self._sketch(feature)
        far = distances(vector, np.stack([example.vector for example in self._examples]))
        rows = [(float(d), example) for d, example in zip(far, self._examples, strict=True)]
        rows = [(d, example) for d, example in rows if self._holds(example, time)]
        false = min(((d, e.id) for d, e in rows if e.verdict == "false_alarm"), default=None)
        return false, min(((d, e.id) for d, e in rows if e.verdict == "true"), default=None)

    def _sketch(self, feature: FloatArray) -> FloatArray:
        if self._channels is not None and len(feature) != self._channels:
            raise ValueError(f"feature has {len(feature)} channels, the camera's verdicts have {self._channels}")
        return sketch(feature, self.settings.size, self.settings.power)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, less than 90 KB."""
        verdicts = [
            {"id": e.id, "verdict": e.verdict, "time": e.time, "vector": pack(e.vector.astype(np.float16))}
            for e in self._examples
        ]
        return {"schema": SCHEMA, "channels": self._channels, "verdicts": verdicts}

    @classmethod
    def from_json(cls, value: object, settings: LookAlikeSettings | None = None) -> LookAlikes:
        """Raises CalibrationError, in one line, for another schema or invalid content."""
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise CalibrationError(f"look-alikes: schema must be {SCHEMA}")
        given = members(value, "look-alikes", _KEYS)
        found = cls(settings)
        channels = given["channels"]
        found._channels = None if channels is None else int(number(channels, "look-alikes channels", 1, 100_000))
        length = min(found._channels or 0, found.settings.size)
        for item in items(given["verdicts"], "verdicts", 2 * _MOST):
            kept = members(item, "verdict", _VERDICT_KEYS)
            if not isinstance(kept["id"], str) or kept["verdict"] not in ("true", "false_alarm"):
                raise CalibrationError("calibration: verdict must have an event id, and be true or false_alarm")
            vector = unpack(kept["vector"], "verdict vector", "<f2", (length,)).astype(np.float32)
            found._examples.append(Example(kept["id"], kept["verdict"], number(kept["time"], "verdict time"), vector))
        return found
