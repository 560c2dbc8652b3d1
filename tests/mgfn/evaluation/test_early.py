"""Latency-aware average precision and hard normal videos, by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mgfn.evaluation.early import HALF_LIFE, latency_aware_ap
from mgfn.evaluation.hard_normal import hard_normal_figures
from tests.mgfn.evaluation.conftest import Run
from tests.mgfn.evaluation.known import known_head, write_videos

NOW, LATER = 1.0, 0.5  # the credit of an incident found at once, and HALF_LIFE late


def laap(labels: str, *scores: float, look_ahead: int = 0) -> float:
    """One character a clip of HALF_LIFE seconds: `#` is anomalous."""
    marked = np.array([mark == "#" for mark in labels])
    return latency_aware_ap([marked], [np.array(scores, np.float32)], HALF_LIFE, look_ahead)


def test_right_from_the_first_clip_on_is_one() -> None:
    assert laap(".##.", 0.1, 0.9, 0.8, 0.2) == pytest.approx(1.0)
    assert laap(".##.", 0.1, 0.9, 0.2, 0.1) == pytest.approx(1.0)  # the rest of the incident does not matter
    assert laap(".##.", 0.1, 0.9, 0.8, 0.2, look_ahead=1) == pytest.approx(LATER)


def test_an_incident_found_late_counts_half() -> None:
    # at 0.8: precision 1, credit 0.5; at 0.1 all four clips: precision 2/4, credit 1
    assert laap(".##.", 0.2, 0.1, 0.8, 0.3) == pytest.approx(LATER * 1 + (NOW - LATER) * 2 / 4)


def test_two_incidents_and_a_false_alarm() -> None:
    # 0.9: a false alarm. 0.7: the first incident at once, precision 1/2. 0.6: the second late, 2/3.
    # 0.2: it is found at once, with five of six clips above: three of them anomalous
    assert laap("#.##..", 0.7, 0.9, 0.2, 0.6, 0.3, 0.1) == pytest.approx(
        (NOW * 1 / 2 + LATER * 2 / 3 + (NOW - LATER) * 3 / 5) / 2
    )


def test_equal_scores_are_one_threshold() -> None:
    assert laap("#.", 0.5, 0.5) == pytest.approx(1 / 2)
    assert laap("##.", 0.5, 0.5, 0.5) == pytest.approx(2 / 3)


def test_without_an_incident_there_is_no_figure() -> None:
    assert math.isnan(laap("..", 0.5, 0.1))


def test_false_alarms_on_normal_videos() -> None:
    """Two videos of four clips of 0.64 s: two crossings in the first, one frame share of 3/8 at or above 0.5."""
    high = np.array([0.9, 0.1, 0.9, 0.9], np.float32)
    low = np.array([0.1, 0.1, 0.1, 0.4], np.float32)
    found = hard_normal_figures("a", [high, low], [high, low], threshold=0.6, frames_per_second=25.0)
    assert (found.videos, found.videos_in_alarm, found.false_alarms) == (2, 1, 2)
    assert found.false_alarm_rate == pytest.approx(3 / 8)
    assert found.hours == pytest.approx(8 * 0.64 / 3600)
    assert found.false_alarms_a_day == pytest.approx(2 * 86400 / 5.12)
    assert found.false_alarms_a_day_bound == pytest.approx(6.2958 * 86400 / 5.12, rel=1e-4)


def test_the_command(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    head = known_head(tmp_path / "head.safetensors")
    hard = write_videos(tmp_path / "hard", {"a": [0.9, 0.2, 0.7], "b": [0.1, 0.1, 0.1]})
    calm = write_videos(tmp_path / "calm", {"c": [0.1, 0.6, 0.1]})
    out = tmp_path / "out"
    assert run("hard-normal", "--head", head, "--list", hard, "--ordinary", calm, "--out", out) == 0
    first, second = json.loads((out / "figures.json").read_text())["lists"]
    assert (first["name"], first["false_alarms"], first["videos_in_alarm"]) == ("hard normal", 2, 1)
    assert first["false_alarm_rate"] == pytest.approx(1 / 3)
    assert (second["name"], second["false_alarms"]) == ("ordinary", 1)
    assert "videos with a false alarm" in capsys.readouterr().out
    assert run("hard-normal", "--head", head, "--list", hard, "--threshold", "2") == 2
    assert "--threshold 2.0: must be from 0 to 1" in capsys.readouterr().err
