"""The newest clips of one camera: their features for the head, and their thumbnails for the explanation of an alarm."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.geometry import SIDE
from engine.window import WINDOW, FeatureWindow
from stream.alarm.codec import CalibrationError, items, members, pack, pair, unpack
from stream.archive.explanation import Explanation, shares, thumbnail
from stream.camera.messages import ClipReady
from stream.camera.view import View

NO_PICTURE: Final = np.zeros((SIDE, SIDE, 3), np.uint8)


class ClipWindow:
    """Clips of one connection. If they overlap, `every` of them begin within the length of one.

    Thumbnails have fixed places, which are used in turn. Allocated one by one, and freed together whenever a camera
    goes away, they would leave more and more gaps in the heap of the service.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._features = FeatureWindow(every=every)
        self._connection = -1
        most = (WINDOW - 1) * every + 1
        self._times: deque[tuple[float, float]] = deque(maxlen=most)  # of the clips whose features are kept
        self._thumbnails = np.zeros((most, *thumbnail(NO_PICTURE).shape), np.uint8)
        self._pushed = 0  # since it was created; the next thumbnail goes to this place, modulo their number
        self._newest: tuple[int, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self._features)

    @property
    def full(self) -> bool:
        return len(self._features) == WINDOW

    @property
    def newest(self) -> FloatArray:
        """The feature of the newest clip, (crops, C). Raises IndexError while empty."""
        return self._features.newest

    @property
    def features(self) -> FloatArray:
        """(T, crops, C), the newest last."""
        return self._features.array()

    @property
    def connects(self) -> bool:
        """Whether the newest clip follows no other: the first of a connection, or since the window was emptied."""
        return len(self._times) == 1

    def begin_connection(self, connection: int) -> bool:
        """Clips of a new connection do not follow the old ones. Returns whether it is a new one, and empties then."""
        if connection == self._connection:
            return False
        self._connection = connection
        self.empty()
        return True

    def forget_connection(self) -> None:
        """The decoder counts its connections from 0 again: the next one is new."""
        self._connection = -1

    def empty(self) -> None:
        self._features.reset()
        self._times.clear()
        self._newest = None

    def push(self, clip: ClipReady, feature: FloatArray, picture: UInt8Array) -> FloatArray:
        """Add a clip's feature, (crops, C), and its last frame; returns the window to be scored, (T, crops, C)."""
        self._newest = (clip.clip if clip.like is None else clip.like, feature)
        self._add(feature, clip.start, clip.end, picture)
        return self.features

    def _add(self, feature: FloatArray, start: float, end: float, picture: UInt8Array) -> None:
        self._features.push(feature)
        self._times.append((start, end))
        self._thumbnails[self._pushed % len(self._thumbnails)] = thumbnail(picture)
        self._pushed += 1

    def to_json(self, wall: Callable[[float], float]) -> dict[str, Any]:
        """Features and wall-clock times of the clips, without images."""
        return {
            "features": pack(np.stack(self._features.all())),
            "times": [[wall(start), wall(end)] for start, end in self._times],
        }

    def recall(self, kept: object, shift: float) -> None:
        """Continue from what `to_json` returned: the next clip of this connection follows it. `shift`: wall-clock time
        minus the time of the clips. Raises ValueError for anything else.
        """
        given = members(kept, "window", ("features", "times"))
        features = unpack(given["features"], "features", "<f4", (None, None, None))
        times = [pair(each, "times") for each in items(given["times"], "times", len(features))]
        if len(times) != len(features) or len(times) > len(self._thumbnails):
            raise CalibrationError(f"calibration: window has {len(features)} features and {len(times)} times")
        self.empty()
        for feature, (start, end) in zip(features, times, strict=True):
            self._add(feature, start - shift, end - shift, NO_PICTURE)

    def take_back(self) -> None:
        """Remove the newest clip: it could not be scored."""
        self._features.take_back()
        self._times.pop()
        self._pushed -= 1
        self._newest = None

    def known_feature(self, clip: ClipReady) -> FloatArray | None:
        """The newest feature, if nothing has moved since and it applies to this clip; None: the backbone must run."""
        if self._newest is None or clip.connection != self._connection or clip.like != self._newest[0]:
            return None
        return self._newest[1]

    def explanation(
        self,
        raw: float,
        contributions: Callable[[FloatArray], FloatArray],
        bundle: str,
        view: View,
        level: tuple[float, float, float] | None,
    ) -> Explanation:
        """Which clips caused the score `raw` of the window; `contributions` computes what each clip of a window adds to
        it.
        """
        features = self.features
        newest_first = range(0, len(self._times), self._every)
        places = [(self._pushed - 1 - age) % len(self._thumbnails) for age in reversed(newest_first)]
        return Explanation(
            np.array(list(self._times)[:: -self._every][::-1]),
            features,
            shares(contributions(features)),
            raw,
            bundle,
            self._thumbnails[places],
            view,
            level,
        )
