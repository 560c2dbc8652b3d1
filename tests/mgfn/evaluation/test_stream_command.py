"""`mgfn-eval stream` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mgfn.evaluation.conftest import Run
from tests.mgfn.evaluation.known import known_head, write_videos


def test_stream(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], ucf: list[object]) -> None:
    out = tmp_path / "live"
    assert run("stream", *ucf, "--threshold", "0.75", "--fps", "16", "--out", out) == 0
    content = json.loads((out / "figures.json").read_text())
    assert (content["threshold"], content["threshold_from"], content["frames_per_second"]) == (0.75, "--threshold", 16)
    assert [entry["look_ahead"] for entry in content["look_ahead"]] == [0, 1, 2]
    for ahead, entry in enumerate(content["look_ahead"]):
        # this head looks at single clips: look-ahead costs time and changes nothing else
        assert entry["auc"] == pytest.approx(1 - 1 / (3 * 7))
        assert (entry["incidents"], entry["found"], entry["false_alarms"]) == (2, 1, 0)
        assert entry["delays"] == [1.0 + ahead]
        assert entry["false_alarms_an_hour_bound"] == pytest.approx(2.9957 / (4 / 3600), rel=1e-4)
    printed = capsys.readouterr().out
    for part in ("threshold 0.75 (--threshold)", "1 of 2", "95 % upper bound", "ordinary time in alarm"):
        assert part in printed
    # ordinary recordings alone tell of false alarms, though no curve can be drawn
    normal = write_videos(tmp_path / "normal", {"Normal_Videos_003_x264_i3d": [0.1, 0.65, 0.2, 0.3]})
    ucf[3] = normal
    assert run("stream", *ucf, "--out", tmp_path / "quiet") == 0
    quiet = json.loads((tmp_path / "quiet" / "figures.json").read_text())
    assert (quiet["threshold"], quiet["threshold_from"]) == (0.5, "default; the checkpoint has none")
    assert quiet["look_ahead"][0]["auc"] is None
    assert quiet["look_ahead"][0]["false_alarms"] == 1
    assert quiet["look_ahead"][0]["time_in_alarm"] == pytest.approx(1 / 4)


def test_the_threshold_of_the_checkpoint(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    ucf[1] = known_head(tmp_path / "with.safetensors", {"threshold_on": "0.62"})
    assert run("stream", *ucf) == 0
    assert "threshold 0.62 (from the checkpoint)" in capsys.readouterr().out
    ucf[1] = known_head(tmp_path / "odd.safetensors", {"threshold_on": "high"})
    assert run("stream", *ucf) == 2
    assert "odd.safetensors: threshold_on 'high' is not a number" in capsys.readouterr().err
