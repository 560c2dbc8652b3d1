"""Heat maps of alarms: where in the clip the head found what it looks for.

They are computed in a thread of its own, one after the other, on one core at low priority: no clip waits for them.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.bundle import Bundle
from engine.errors import EngineError
from engine.heat_map import has_heat_map, heat_map
from stream.alarm.event import FocusRegion
from stream.base.log import log
from stream.base.processes import yield_to_others
from stream.watch.metrics import Metrics

_MOST: Final = 4  # alarms that wait; more at once are without a heat map
_WHOLE: Final = (0.0, 0.0, 1.0, 1.0)


class _Asked(NamedTuple):
    event_id: str
    region: FocusRegion
    clip: UInt8Array
    window: FloatArray


class HeatMaps:
    """`keep` gets an event's id and its heat map; `counted` what became of each: `computed`, `failed` or `dropped`."""

    def __init__(self, bundle: Bundle, keep: Callable[[str, bytes], None], counted: Callable[[str], None]) -> None:
        self._bundle = bundle
        self._keep = keep
        self._counted = counted
        self._line: queue.Queue[_Asked | None] = queue.Queue(_MOST)

    def ask(self, event_id: str, region: FocusRegion | None, clip: UInt8Array, window: FloatArray) -> None:
        """An alarm began with this clip, (16, 224, 224, 3), and this window, (T, 1, C). Returns at once."""
        try:
            self._line.put_nowait(_Asked(event_id, region or _WHOLE, clip.copy(), window))
        except queue.Full:
            self._counted("dropped")

    def run(self) -> None:
        """Body of the thread."""
        yield_to_others()
        while (asked := self._line.get()) is not None:
            try:
                heat = heat_map(self._bundle, asked.clip, asked.window)
            except EngineError as error:
                log.warning("event has no heat map", id=asked.event_id, reason=str(error))
                self._counted("failed")
                continue
            self._keep(asked.event_id, _packed(heat, asked.region))
            self._counted("computed")

    def stop(self) -> None:
        while True:  # what still waits is not computed
            try:
                self._line.get_nowait()
            except queue.Empty:
                break
        self._line.put(None)


def make_heat_maps(
    bundle: Bundle, keep: Callable[[str, bytes], None], metrics: Metrics, *, keeps: bool
) -> HeatMaps | None:
    """`keep` stores one. None if the bundle has none, or if no files of events are kept."""
    return HeatMaps(bundle, keep, metrics.heat_map) if keeps and has_heat_map(bundle) else None


def _packed(heat: FloatArray, region: FocusRegion) -> bytes:
    """`region` in fractions of the image, and the heat in its rows of cells, from 0 to 255."""
    most = float(heat.max())
    cells = np.round(heat * (255 / most)).astype(int).tolist() if most > 0 else []
    return json.dumps({"region": [round(part, 4) for part in region], "rows": cells}).encode()
