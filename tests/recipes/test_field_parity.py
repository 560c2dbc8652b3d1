"""The benchmark's shortcut from cached features is the live path: `mgfn-stream --replay` says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.default_bundle import default_head
from engine.engine import Engine
from mgfn.checkpoint import load_head
from mgfn.extended import Extended
from recipes.field.__main__ import ALARM
from recipes.field.bench import at_budget
from recipes.field.features import footage
from recipes.field.parts import all_together
from recipes.field.recordings import benchmark_recordings
from recipes.field.watch import score, watch
from recipes.field_head.data import all_recordings
from stream.watch.learnt_score import calibration_of

BUDGET = 400.0  # rings where it was trained to


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_replay_gives_the_benchmarks_scores_and_alarms(
    shared_data: Path, default_bundle: Path, tmp_path: Path
) -> None:
    (recording,) = (r for r in benchmark_recordings(all_recordings(shared_data).values()) if r.name == "fight-b10")
    with Engine.open(default_bundle, "auto", "cpu") as engine:
        seen = footage([recording], engine, tmp_path / "cache")[recording.name]
        settings = calibration_of(engine.manifest)
    assert settings is not None
    head, _ = load_head(default_head())
    assert isinstance(head, Extended)
    raw = score(recording, seen, head).scores(all_together).whole
    expected = watch(seen, slice(0, len(raw)), raw, settings, at_budget(ALARM, BUDGET))
    replay(recording.path, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [line["end"] for line in lines] == pytest.approx(list(seen.end), abs=2e-3)
    np.testing.assert_allclose([line["raw"] for line in lines], raw, atol=1e-3)
    np.testing.assert_allclose([settings.z_of(line["score"]) for line in lines], expected.z, atol=2e-2)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    began = [event["start_time"] for event in events if event["type"] == "new"]
    assert expected.alarms
    assert began == pytest.approx([alarm.start for alarm in expected.alarms], abs=2e-3)


def replay(video: Path, folder: Path) -> None:
    flags = {
        "--rtsp": f"recording={video}",
        "--scores": folder / "scores.jsonl",
        "--events": folder / "events.jsonl",
        "--data": folder / "data",
        "--false-alarms-per-day": f"{BUDGET:g}",
        "--http": "off",
        "--device": "cpu",
    }
    command = [sys.executable, "-m", "stream.cli", "--replay", *(str(part) for item in flags.items() for part in item)]
    subprocess.run(command, check=True, timeout=240, capture_output=True)
