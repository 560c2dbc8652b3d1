"""Test the default head on real recordings from sources that it was not trained on: `make field`.

    python -m recipes.field [--data DIR] [--cache DIR] [--out DIR]

The first run reads all recordings and trains ten heads (an hour or more on two cores). Both are kept in the cache.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import platformdirs
import torch

from engine.engine import Engine
from mgfn.extended import Extended
from recipes.field.bench import BUDGETS, POINTS, Outcome, at_budget, held_out, outcomes, ranks, summary
from recipes.field.features import Footage, footage
from recipes.field.folds import fold_heads, source_groups
from recipes.field.parts import all_together, network_alone, probes_alone, without_tampering
from recipes.field.recordings import Recording, benchmark_recordings
from recipes.field.report import false_alarms, write
from recipes.field.verdicts import verdict_effects
from recipes.field.watch import Combine, Parted, score
from recipes.field_head import train
from recipes.field_head.data import all_recordings, load_clips
from recipes.field_head.features import extract
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmSettings
from stream.settings.bundle import cached_bundle

ALARM: Final = AlarmSettings(
    float(train.metadata(frozenset())["threshold_on"]),
    float(train.metadata(frozenset())["threshold_off"]),
    min_duration=float(train.metadata(frozenset())["min_duration"]),
)


@dataclass(frozen=True)
class Variant:
    """The detector with a part removed. `min_duration` in seconds, of the alarm rule."""

    name: str
    combine: Combine = all_together
    settings: Mapping[str, object] = field(default_factory=dict)
    min_duration: float | None = None


WINDOWS: Final = (1, 8)  # clips, instead of 32
VARIANTS: Final = (
    Variant("probes alone", probes_alone),
    Variant("MGFN alone", network_alone),
    Variant("without the probe for tampering", without_tampering),
    Variant("without the camera's own level", settings={"location_weight": 0.0, "location_weight_settled": 0.0}),
    Variant("mean of three clips", settings={"smoothing": 3}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")))
    parser.add_argument("--out", type=Path, default=root / "docs" / "benchmarks")
    given = parser.parse_args()
    if not (given.data / "field" / "manifest.csv").is_file():
        raise SystemExit(f"--data {given.data}: holds no field/manifest.csv; make field needs the recordings")
    torch.set_num_threads(2)
    began = time.monotonic()
    everything = all_recordings(given.data)
    recordings = benchmark_recordings(everything.values())
    with Engine.open(cached_bundle("i3d", None), "auto", "cpu") as engine:
        seen = footage(recordings, engine, given.cache / "field" / "features")
        backend = f"{engine.backend.name}, {engine.backend.precision}"
    heads = fold_heads_of(given.cache, everything)
    results: dict[str, Any] = {"backbone": backend, "sources": len({r.source for r in recordings if r.judged})}
    parted = {
        r.name: score(r, seen[r.name], head) for sources, head in heads for r in recordings if r.source in sources
    }
    results |= run(recordings, seen, [sources for sources, _ in heads], parted)
    for window in WINDOWS:
        shorter = {
            r.name: score(r, seen[r.name], head, window)
            for sources, head in heads
            for r in recordings
            if r.source in sources
        }
        variant = Variant(f"windows of at most {window} clip{'s' * (window > 1)}")
        results["parts"].append(part_of(variant, recordings, seen, [sources for sources, _ in heads], shorter))
    results["minutes_taken"] = round((time.monotonic() - began) / 60, 1)
    write(results, given.out)
    print(json.dumps(results["prior"]))


def fold_heads_of(cache: Path, everything: Mapping[str, Any]) -> list[tuple[frozenset[str], Extended]]:
    extract(list(everything.values()), cache / "field-head")
    views = tuple(dict.fromkeys((*train.PROBE_VIEWS, *train.NETWORK_VIEWS)))
    left_out = source_groups(everything.values())
    clips = load_clips(cache / "field-head", everything, views)
    return list(zip(left_out, fold_heads(clips, left_out, cache / "field" / "heads"), strict=True))


def run(
    recordings: Sequence[Recording],
    seen: Mapping[str, Footage],
    groups: Sequence[frozenset[str]],
    parted: Mapping[str, Parted],
) -> dict[str, Any]:
    """All figures of the benchmark, as plain JSON."""
    by_name = {recording.name: recording for recording in recordings}
    held, prior = held_out(recordings, seen, groups, parted, all_together, chosen(), ALARM)
    found: dict[tuple[str, float], list[Outcome]] = {}
    curve: dict[str, list[dict[str, Any]]] = {"settled": [], "new": []}
    for budget in BUDGETS:
        for camera, points in curve.items():
            result = outcomes(by_name, seen, held, at_budget(ALARM, budget), settled=camera == "settled")
            points.append({"budget": budget, "camera": camera, **summary(result)})
            if budget in POINTS:
                found[camera, budget] = result
    points = [p for budget in POINTS for camera in curve for p in curve[camera] if p["budget"] == budget]
    shipped_prior = CalibrationSettings.from_mapping(train.CALIBRATION)
    with_shipped_prior = [replace(group, settings=shipped_prior) for group in held]
    as_shipped = {
        (camera, budget): outcomes(
            by_name, seen, with_shipped_prior, at_budget(ALARM, budget), settled=camera == "settled"
        )
        for budget in POINTS
        for camera in curve
    }
    shipped: dict[str, Any] = {"name": "probes and MGFN (shipped)", "auc": ranks(held, by_name, seen)}
    parts = [shipped | {camera: summary(found[camera, POINTS[0]]) for camera in curve}]
    parts += [part_of(variant, recordings, seen, groups, parted) for variant in VARIANTS]
    return {
        "points": points,
        "with_shipped_prior": [
            {"budget": budget, "camera": camera, **summary(result)} for (camera, budget), result in as_shipped.items()
        ],
        "curve": curve,
        "parts": parts,
        "false_alarms": false_alarms(found),
        "false_alarms_with_shipped_prior": false_alarms(as_shipped),
        "verdicts": verdict_effects(by_name, seen, held, ALARM),
        "missed": {
            f"{camera}, {budget:g}": [o.recording.name for o in result if o.recording.incident and not o.verdict.found]
            for (camera, budget), result in found.items()
        },
        "prior": {key: value for key, value in prior.to_mapping().items() if key in train.CALIBRATION},
    }


def part_of(
    variant: Variant,
    recordings: Sequence[Recording],
    seen: Mapping[str, Footage],
    groups: Sequence[frozenset[str]],
    parted: Mapping[str, Parted],
) -> dict[str, Any]:
    """What a detector with a part removed finds at the first point, as plain JSON."""
    by_name = {recording.name: recording for recording in recordings}
    alarm = replace(ALARM, min_duration=variant.min_duration or ALARM.min_duration)
    held, _ = held_out(recordings, seen, groups, parted, variant.combine, {**chosen(), **variant.settings}, alarm)
    row: dict[str, Any] = {"name": variant.name, "auc": ranks(held, by_name, seen)}
    for camera in ("settled", "new"):
        at_point = at_budget(alarm, POINTS[0])
        row[camera] = summary(outcomes(by_name, seen, held, at_point, settled=camera == "settled"))
    return row


def chosen() -> dict[str, Any]:
    """The settings of the calibration that are not measured."""
    return {key: value for key, value in train.CALIBRATION.items() if key not in ("location", "between", "spread")}


if __name__ == "__main__":
    main()
