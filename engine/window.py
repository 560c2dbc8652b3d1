"""The glance context of one camera: its last features, each computed once."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from engine.arrays import FloatArray

WINDOW: Final = 32


class FeatureWindow:
    """At most `size` features of one camera, oldest first."""

    def __init__(self, size: int = WINDOW) -> None:
        self._features: deque[FloatArray] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._features)

    def push(self, feature: FloatArray) -> None:
        """Add the newest clip's feature, float32 (crops, C); the oldest leaves a full window."""
        self._features.append(feature)

    def reset(self) -> None:
        """Forget everything: the next clip does not follow the last one."""
        self._features.clear()

    def array(self) -> FloatArray:
        """The window, float32 (T, crops, C), 1 <= T <= size. Raises ValueError while empty."""
        return np.stack(self._features)
