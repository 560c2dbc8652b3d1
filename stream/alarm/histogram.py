"""A histogram that forgets: quantiles over the last hours in bounded memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.alarm.codec import CalibrationError, pack, unpack

BINS: Final = 256
REACH: Final = 16.0  # the bins span -16 to 16
_WIDTH: Final = 2 * REACH / BINS


class ForgettingHistogram:
    """Weights of values in [-16, 16]; values outside count in the outermost bins."""

    def __init__(self) -> None:
        self._weights = np.zeros(BINS)
        self.total = 0.0

    def add(self, values: NDArray[np.float64], each: float) -> None:
        """Take values (n,), each with weight `each`."""
        places = np.clip(((values + REACH) / _WIDTH).astype(np.intp), 0, BINS - 1)
        self._weights += each * np.bincount(places, minlength=BINS)
        self.total = float(self._weights.sum())

    def decay(self, factor: float) -> None:
        """Multiply all weights with `factor` in [0, 1]."""
        self._weights *= factor
        self.total = float(self._weights.sum())

    def quantiles(self, shares: tuple[float, ...]) -> list[float]:
        """The values below which `shares` of the weight are, interpolated within bins. Needs some weight."""
        sums = np.cumsum(self._weights)
        found = []
        for share in shares:
            goal = share * sums[-1]
            place = min(int(np.searchsorted(sums, goal)), BINS - 1)
            inside = float(self._weights[place])
            before = float(sums[place]) - inside
            part = (goal - before) / inside if inside > 0 else 0.5
            found.append(-REACH + _WIDTH * (place + min(max(float(part), 0.0), 1.0)))
        return found

    def clear(self) -> None:
        """Forget everything."""
        self._weights[:] = 0
        self.total = 0.0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return pack(self._weights)

    @classmethod
    def from_json(cls, value: object, name: str) -> ForgettingHistogram:
        """Raises CalibrationError for invalid content."""
        found = cls()
        found._weights = unpack(value, name, "<f8", (BINS,))
        if (found._weights < 0).any():
            raise CalibrationError(f"calibration: {name} has weights below 0")
        found.total = float(found._weights.sum())
        return found
