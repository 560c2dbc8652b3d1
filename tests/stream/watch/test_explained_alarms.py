"""What drives real alarms: fights let into ordinary streams of their own camera (composed), the shipped bundle."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from engine.arrays import FloatArray, UInt8Array
from engine.engine import Engine
from engine.geometry import write_crops
from stream.alarm.rule import AlarmSettings
from stream.alarm.tail import AlarmCounts
from stream.alarm.threshold import Budget, learnt_threshold
from stream.archive.explanation import shares
from stream.watch.learnt_score import calibration_of

pytestmark = pytest.mark.slow

SOURCES = ("s00", "s01", "s06", "s18", "s23", "s33")
INCIDENT = 3  # clips
BUDGET = 48.0  # false alarms a day
ALARM = AlarmSettings(threshold_on=0.95, threshold_off=0.76)


def first_clips(path: Path, geometry: str, crops: int) -> list[UInt8Array]:
    """At most INCIDENT of them."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in islice(container.decode(video=0), 16 * INCIDENT):
            out = np.empty((crops, 224, 224, 3), np.uint8)
            write_crops(frame, geometry, out)
            pictures.append(out)
    return [np.stack(pictures[i : i + 16], axis=1) for i in range(0, len(pictures) - 15, 16)]


@pytest.mark.timeout(600)
def test_the_incident_carries_most_of_the_weight(shared_data: Path, default_bundle: Path) -> None:
    with (shared_data / "cctv-fights" / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["source"] in SOURCES]
    rng = np.random.default_rng(0)
    explained: list[float] = []
    with Engine.open(default_bundle, "auto", "cpu") as engine:

        def features(name: str) -> list[FloatArray]:
            seen = first_clips(shared_data / "cctv-fights" / "videos" / name, manifest.geometry, manifest.crops)
            return [engine.features(clip[None])[0] for clip in seen]

        manifest = engine.manifest
        calibration = calibration_of(manifest)
        assert calibration is not None
        z = learnt_threshold(AlarmCounts(calibration, ALARM), Budget(BUDGET), calibration).z
        rings_at = 1 / (1 + np.exp(-calibration.location - calibration.spread * z))
        for source in SOURCES:
            names = {
                kind: [r["file"] for r in rows if (r["source"], r["anomalous"]) == (source, kind)] for kind in "01"
            }
            ordinary = [feature for name in names["0"][:4] for feature in features(name)]
            for name in names["1"][:4]:
                stream = [ordinary[int(i)] for i in rng.integers(len(ordinary), size=32 - INCIDENT)] + features(name)
                window = np.stack(stream[-32:])
                if len(window) == 32 and engine.scores([window])[0][-1] >= rings_at:
                    explained.append(float(shares(engine.contributions(window))[-INCIDENT:].sum()))
    assert len(explained) >= 8, "too few of them alarm to say anything"
    print(f"{len(explained)} alarms, weight of the incident: {sorted(round(weight, 2) for weight in explained)}")
    assert np.mean([weight > 0.5 for weight in explained]) >= 0.9
