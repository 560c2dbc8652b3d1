"""The glance context of one camera: its last features, each computed once."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from engine.arrays import FloatArray

WINDOW: Final = 32


class FeatureWindow:
    """At most `size` features of one camera, oldest first: the newest and every `every`-th before it.

    Where clips overlap, `every` of them begin within the length of one: the window then holds clips end to end, and
    means what it means where none overlap.
    """

    def __init__(self, size: int = WINDOW, every: int = 1) -> None:
        self._every = every
        self._features: deque[FloatArray] = deque(maxlen=(size - 1) * every + 1)

    def __len__(self) -> int:
        return -(-len(self._features) // self._every)

    def push(self, feature: FloatArray) -> None:
        """Add the newest clip's feature, float32 (crops, C); the oldest leaves a full window."""
        self._features.append(feature)

    def reset(self) -> None:
        """Forget everything: the next clip does not follow the last one."""
        self._features.clear()

    @property
    def newest(self) -> FloatArray:
        """The newest clip's feature, (crops, C). Raises IndexError while empty."""
        return self._features[-1]

    def array(self) -> FloatArray:
        """The window, float32 (T, crops, C), 1 <= T <= size. Raises ValueError while empty."""
        return np.stack(list(self._features)[:: -self._every][::-1])
