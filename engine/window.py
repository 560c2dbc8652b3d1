"""The window of one camera: its last features, each computed once."""

from __future__ import annotations

from collections import deque

import numpy as np

from configs.sizes import WINDOW as WINDOW  # for users of windows
from engine.arrays import FloatArray


class FeatureWindow:
    """At most `size` features of one camera, oldest first: the newest and every `every`-th before it.

    If clips overlap, `every` of them begin within the length of one. The window then contains clips end to end, and
    means the same as without overlap.
    """

    def __init__(self, size: int = WINDOW, every: int = 1) -> None:
        self._every = every
        self._features: deque[FloatArray] = deque(maxlen=(size - 1) * every + 1)

    def __len__(self) -> int:
        return -(-len(self._features) // self._every)

    def push(self, feature: FloatArray) -> None:
        """Add the feature of the newest clip, float32 (crops, C); a full window drops the oldest."""
        self._features.append(feature)

    def take_back(self) -> None:
        """Remove the newest feature. Raises IndexError while empty."""
        self._features.pop()

    def reset(self) -> None:
        """Forget everything, because the next clip does not follow the last one."""
        self._features.clear()

    def all(self) -> list[FloatArray]:
        """Every feature that is kept, oldest first, overlapping ones too."""
        return list(self._features)

    @property
    def newest(self) -> FloatArray:
        """The feature of the newest clip, (crops, C). Raises IndexError while empty."""
        return self._features[-1]

    def array(self) -> FloatArray:
        """The window, float32 (T, crops, C), 1 <= T <= size. Raises ValueError while empty."""
        return np.stack(list(self._features)[:: -self._every][::-1])
