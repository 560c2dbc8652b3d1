"""`mgfn-bench --gpu-check` without a GPU: its steps on the CPU, its page, and what it says did not run."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arrays import FloatArray, UInt8Array
from engine.bundle import Bundle
from export.bench import cli, gpu_check, gpu_probe
from export.bench.gpu_check import _with_wheel, check, markdown, write

FOUND: dict[str, Any] = {
    "machine": {"cpu": "A CPU", "cores": 16, "gpus": ["NVIDIA H200, 141 GiB"]},
    "dry_run": False,
    "weights": "random",
    "seconds": 400,
    "ways": {
        "torch-fp16": {"relative_error": 0.002, "clips_per_second": {"1": 90.0, "128": 2900.0}, "score_change": 0.001},
        "torch": {"relative_error": 0.0021, "clips_per_second": {"1": 200.0}, "problem": "batch 8: out of memory"},
    },
    "cameras": [{"cameras": 90, "held": True, "dropped_clips": 0, "lag_ms": {"p95": 120.0}}],
    "not_run": {"tensorrt": "backend tensorrt: not installed"},
}


def test_the_page() -> None:
    page = markdown(FOUND)
    assert page.startswith("# GPU check: NVIDIA H200, 141 GiB\n")
    assert "Dry run" not in page
    assert "| PyTorch, eager, half precision | 90.0 | 2900.0 | 0.002 | 0.001 |" in page
    assert "| 90 | yes | 0 | 120.0 |" in page
    assert "- TensorRT, half precision: backend tensorrt: not installed" in page
    assert "batch 8: out of memory" in page
    assert "What did not run" not in markdown({**FOUND, "ways": {}, "not_run": {}})
    assert "**Dry run on the CPU: no figure here is one of a GPU.**" in markdown({**FOUND, "dry_run": True})


def test_a_batch_that_does_not_fit_ends_the_batches() -> None:
    def features(clips: UInt8Array) -> FloatArray:
        if len(clips) > 1:
            raise RuntimeError("out of memory\nand more")
        return np.ones((1, 4), np.float32)

    clips = np.zeros((2, 16, 224, 224, 3), np.uint8)
    found = gpu_probe.measure(features, "cpu", np.full((2, 4), 1.1, np.float32), clips)
    assert found["relative_error"] == pytest.approx(0.0909, abs=1e-4)
    assert list(found["clips_per_second"]) == ["1"]
    assert found["problem"] == "batch 2: out of memory"


def test_a_wheel_in_a_folder_comes_first(tmp_path: Path) -> None:
    not_run: dict[str, str] = {}
    _with_wheel(tmp_path, tmp_path, not_run)
    assert "holds no onnxruntime_gpu*.whl" in not_run["ONNX Runtime's wheel"]
    with zipfile.ZipFile(tmp_path / "onnxruntime_gpu-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("onnxruntime/__init__.py", "")
    environment = _with_wheel(tmp_path, tmp_path, {})
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path / "wheel")
    assert (tmp_path / "wheel" / "onnxruntime" / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--gpu-check", "--gpu-wheels", "/nowhere", "--dry-run"], "--gpu-wheels /nowhere: must be a folder"),
        (["--dry-run"], "--dry-run: needs --gpu-check"),
        (["--gpu-check"], "no NVIDIA GPU found"),
    ],
)
def test_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    monkeypatch.setattr("engine.backends.gpu_present", lambda: False)
    monkeypatch.setattr(sys, "argv", ["mgfn-bench", *flags])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_dry_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path) -> None:
    def cameras(bundle: Bundle, fastest: Mapping[str, Any], deadline: float) -> list[dict[str, Any]]:
        assert bundle.path == tiny_bundle
        assert max(fastest["clips_per_second"].values()) > 0
        raise RuntimeError("no sample footage in the cache")

    monkeypatch.setattr(gpu_check, "DRY", ("onnxruntime", "tensorrt"))
    found = check(tiny_bundle, None, cameras, lambda _: None, dry=True)
    assert found["dry_run"]
    assert set(found["ways"]) == {"onnxruntime"}
    row = found["ways"]["onnxruntime"]
    assert row["relative_error"] < 1e-3
    assert row["score_change"] < 1e-3
    assert set(row["clips_per_second"]) == {"1", "2"}
    assert found["not_run"] == {
        "tensorrt": "backend tensorrt: runs on a GPU only, not on cpu",
        "live cameras": "no sample footage in the cache",
    }
    json_file, page = write(found, tmp_path / "gpu.json")
    assert json.loads(json_file.read_text()) == found
    assert "Dry run on the CPU" in page.read_text()
