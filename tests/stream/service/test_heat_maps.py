"""Heat maps are computed one after the other; what cannot be computed is counted, and holds up nothing."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np

from engine.bundle import Bundle
from stream.service.heat_maps import HeatMaps
from tests.export.test_heat_map import clip_of


def test_those_that_wait_are_bounded_and_a_failure_ends_nothing(field_bundle: Path) -> None:
    kept: dict[str, dict[str, object]] = {}
    counted: list[str] = []
    maps = HeatMaps(Bundle.open(field_bundle), lambda id_, text: kept.update({id_: json.loads(text)}), counted.append)
    window = np.random.default_rng(0).uniform(0, 1, (4, 1, 64)).astype(np.float32)
    maps.ask("1.00-aaaaaa", None, clip_of(True), window[:, :, :7])  # not a window of this bundle
    maps.ask("2.00-aaaaaa", (0.25, 0.0, 0.5, 1.0), clip_of(True), window)
    maps.ask("3.00-aaaaaa", None, clip_of(False), window)
    maps.ask("4.00-aaaaaa", None, clip_of(True), window)
    maps.ask("5.00-aaaaaa", None, clip_of(True), window)
    assert counted == ["dropped"]
    thread = threading.Thread(target=maps.run)
    thread.start()
    maps._line.put(None)
    thread.join(30)
    assert counted == ["dropped", "failed", "computed", "computed", "computed"]
    assert kept["2.00-aaaaaa"]["region"] == [0.25, 0.0, 0.5, 1.0]
    assert np.array(kept["2.00-aaaaaa"]["rows"]).shape == (14, 14)
    assert np.array(kept["2.00-aaaaaa"]["rows"]).max() == 255
    assert kept["3.00-aaaaaa"] == {"region": [0.0, 0.0, 1.0, 1.0], "rows": []}  # nothing moves
    assert kept.keys() == {"2.00-aaaaaa", "3.00-aaaaaa", "4.00-aaaaaa"}
