"""INT8: what is done where it fails, what leaves the machine, and, in the slow tier, NNCF itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.arrays import UInt8Array
from engine.backends.openvino_core import core
from export import int8
from export.bundle import ExportError
from export.int8 import cosine, quantise_until_it_holds, quantised, quantised_sparingly
from export.onnx import export_backbone
from export.verify import INT8_COSINE, Comparison


def comparison(cosine: float = 0.999, far_flips: int = 0) -> Comparison:
    return Comparison("openvino-int8", "int8", cosine, 0.05, 0.1, far_flips, far_flips)


def in_turn(*rows: Comparison) -> Callable[[], Comparison]:
    left = list(rows)
    return lambda: left.pop(0)


def test_what_passes() -> None:
    assert comparison(INT8_COSINE).passed
    assert not comparison(INT8_COSINE - 0.001).passed
    assert not comparison(far_flips=1).passed


@pytest.mark.parametrize(
    ("rows", "drops", "kept"),
    [
        ([comparison()], [], True),
        ([comparison(0.95), comparison()], [0.025], True),
        ([comparison(far_flips=1), comparison(0.95)], [0.0005], False),
    ],
)
def test_once_more_with_layers_in_float_then_float32(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path,
    rows: list[Comparison], drops: list[float], kept: bool,
) -> None:  # fmt: skip
    seen: list[float] = []

    def plain(graph: Path, _calibration: UInt8Array) -> Any:
        return core().read_model(tiny_bundle / graph.name)

    def sparing(graph: Path, calibration: UInt8Array, drop: float) -> Any:
        seen.append(drop)
        return plain(graph, calibration)

    monkeypatch.setattr(int8, "quantised", plain)
    monkeypatch.setattr(int8, "quantised_sparingly", sparing)
    made = quantise_until_it_holds(tmp_path, np.zeros((1, 1, 16, 224, 224, 3), np.uint8), in_turn(*rows))
    assert made == rows
    assert seen == pytest.approx(drops)
    assert sorted(p.name for p in tmp_path.iterdir()) == (["backbone-int8.bin", "backbone-int8.xml"] if kept else [])


def test_without_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    with pytest.raises(ExportError, match=r"run: pip install 'mgfn-stream\[export\]'"):
        int8.check_installed()


# a process without pytest, inside of which NNCF is quiet anyway; no socket leaves it
TELEMETRY = """
import socket
def refuse(*_, **__):
    raise SystemExit("something was sent")
socket.socket.connect = socket.getaddrinfo = refuse
from export.int8 import _nncf
_nncf()
import nncf.telemetry.wrapper, openvino.tools.ovc
from openvino.tools.ovc import telemetry_stub
assert type(openvino.tools.ovc.telemetry) is telemetry_stub.Telemetry, openvino.tools.ovc.telemetry
assert isinstance(nncf.telemetry.wrapper.telemetry, nncf.telemetry.wrapper.NNCFTelemetryStub)
import os
assert os.environ["NNCF_CI"] == "1"
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, ""])
def test_nncf_and_openvino_report_nothing_home(before: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("NNCF_CI", "NNCF_DEV")}
    environment |= {} if before is None else {"NNCF_CI": before}
    subprocess.run([sys.executable, "-c", TELEMETRY], check=True, env=environment)


class Convolutions(nn.Module):
    """Three convolutions over a clip; the second is hurt by eight bits: one channel is 3000 times the others."""

    def __init__(self, outlier: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv3d(3, 16, 1)
        self.second = nn.Conv3d(16, 16, 1)
        self.third = nn.Conv3d(16, 64, 1)
        with torch.no_grad():
            self.first.weight[0] *= outlier
            assert self.first.bias is not None
            self.first.bias[0] = 0.0
            self.second.weight[:, 0] /= outlier

    def forward(self, clips: Tensor) -> Tensor:
        x = clips[:, :, ::16, ::16].permute(0, 4, 1, 2, 3).to(torch.float32) / 255
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.third(x).mean(dim=(2, 3, 4))


def lowest_cosine(model: Any, network: nn.Module, clips: UInt8Array) -> float:
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.inference_mode():
        expected = network(torch.from_numpy(clips[:, 0])).numpy()
    found = np.concatenate([np.array(compiled(clip)[0]) for clip in clips])
    return min(cosine(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
def test_layers_that_hurt_go_back_to_float(tmp_path: Path) -> None:
    network = Convolutions(outlier=3000.0)
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (6, 1, 16, 224, 224, 3), dtype=np.uint8)
    export_backbone(network, tmp_path / "backbone.onnx")
    plain = quantised(tmp_path / "backbone.onnx", clips)
    assert any(node.get_type_name() == "FakeQuantize" for node in plain.get_ops())
    hurt = 1 - lowest_cosine(plain, network, clips)
    sparing = quantised_sparingly(tmp_path / "backbone.onnx", clips, hurt / 2)
    assert 1 - lowest_cosine(sparing, network, clips) <= hurt / 2
    assert any(node.get_type_name() == "FakeQuantize" for node in sparing.get_ops())
