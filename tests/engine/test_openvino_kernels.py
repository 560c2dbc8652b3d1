"""Kernels of OpenVINO's INT8 graph, chosen by measuring: what is chosen, kept and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino.opset13 as opset
import pytest

from engine.backends import openvino_kernels
from engine.backends.openvino_core import core
from engine.backends.openvino_kernels import Graph, Tuning, fastest, tuned


@pytest.mark.parametrize(
    ("milliseconds", "kernels"),
    [
        ({"a": {"": 26.0, "jit": 9.0, "other": 10.0}}, {"a": "jit"}),
        ({"a": {"": 10.0, "jit": 9.9}}, {}),  # noise
        ({"a": {"": 5.0, "jit": 11.0}, "b": {"": 4.0, "jit": 2.0}}, {"b": "jit"}),
        ({"a": {"": 5.0}}, {}),
    ],
)
def test_a_layer_takes_another_kernel_only_if_it_is_clearly_faster(
    milliseconds: dict[str, dict[str, float]], kernels: dict[str, str]
) -> None:
    assert fastest(milliseconds) == kernels


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Two convolutions."""
    picture = opset.parameter([1, 3, 8, 32, 32], np.uint8, name="picture")
    x: Any = opset.convert(picture, np.float32)
    rng = np.random.default_rng(0)
    for name, channels in (("first", 3), ("second", 8)):
        weights = opset.constant(rng.integers(-3, 3, (8, channels, 3, 3, 3)).astype(np.float32))
        x = opset.convolution(x, weights, [1] * 3, [1] * 3, [1] * 3, [1] * 3, name=name)
    path = tmp_path / "backbone-int8.xml"
    openvino.save_model(openvino.Model([x], [picture]), path, compress_to_fp16=False)
    return path


def compiled(model: Any, more: Mapping[str, Any] = {}) -> Any:
    return core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **more})


def test_what_was_measured_is_kept_for_this_cpu(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def measure(given: Graph, compiled: Any) -> Tuning:
        measured.append(given.key)
        return Tuning("cpu", "version", {"first": "ref_any"}, {})

    monkeypatch.setattr(openvino_kernels, "measure", measure)
    monkeypatch.setattr(openvino_kernels, "int8_instructions", lambda: "AMX")
    monkeypatch.setattr(openvino_kernels, "CANDIDATES", {"AMX": ("ref_any",)})
    folder = tmp_path / "kernels"
    assert kernel_of(tuned(graph, compiled, folder=folder), "first").startswith("ref_any")
    tuned(graph, compiled, folder=folder)
    assert len(measured) == 1
    (file,) = folder.iterdir()
    assert json.loads(file.read_text())["kernels"] == {"first": "ref_any"}
    file.write_text("{")  # cut off
    tuned(graph, compiled, folder=folder)
    monkeypatch.setattr(openvino_kernels, "cpu_model", lambda: "another CPU")
    tuned(graph, compiled, folder=folder)
    assert len(measured) == 3


def test_a_measurement_on_this_cpu(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is fastest here: it is a kernel for one of the layers, and changes no output."""
    monkeypatch.setattr(openvino_kernels, "int8_instructions", lambda: "AVX-VNNI")
    monkeypatch.setattr(openvino_kernels, "_WORTHWHILE_MS", 0.0)
    monkeypatch.setattr(openvino_kernels, "_SECONDS", 0.0)
    given = Graph(graph)
    found = openvino_kernels.measure(given, compiled)
    assert set(found.milliseconds) == {"first", "second"}
    assert all(set(row) <= {"", "jit_avx2"} and min(row.values()) >= 0 for row in found.milliseconds.values())
    clip = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 32, 32), dtype=np.uint8)
    outputs = [compiled(given.read(kernels))(clip)[0] for kernels in ({}, found.kernels)]
    np.testing.assert_array_equal(*outputs)


def kernel_of(running: Any, layer: str) -> str:
    """Which kernel a convolution runs on here."""
    notes = {op.get_friendly_name(): op.get_rt_info() for op in running.get_runtime_model().get_ops()}
    return str(notes[layer]["primitiveType"].astype(str))
