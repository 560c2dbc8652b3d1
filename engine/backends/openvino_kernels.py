"""Which kernels the heaviest layers of an INT8 graph take: measured on this CPU, and kept in the user's cache.

oneDNN has several kernels for the same convolution. Which one is fastest depends on the CPU, and OpenVINO does not
measure: on a CPU with AMX, its choice for the first layer of I3D takes three times as long as another one. All of them
multiply integers, so features are the same to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import openvino
import platformdirs

from configs.atomic import write_file
from engine.arrays import FloatArray
from engine.backends.openvino_core import core
from engine.cpu import cpu_model, int8_instructions

# Beside OpenVINO's choice, which is `brgconv`, by the INT8 instructions of the CPU. Where a layer has no such kernel,
# OpenVINO takes its own.
CANDIDATES: Final = {
    "AMX": ("jit_avx512_amx", "jit_avx512"),
    "AVX-512 VNNI": ("jit_avx512",),
    "AVX-VNNI": ("jit_avx2",),
}
HEAVIEST: Final = 6  # layers
_NOTE: Final = "primitives_priority"  # what OpenVINO calls it
_CLEARLY: Final = 0.95  # of the time of OpenVINO's choice
_WORTHWHILE_MS: Final = 2.0
_SECONDS, _FEWEST_ROUNDS = 3.0, 8

Kernels = Mapping[str, str]
"""The kernel of each layer that does not take OpenVINO's choice."""
Compile = Callable[[Any, Mapping[str, Any]], Any]
"""Compiles a model, with settings beside the usual ones."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """What was measured where. `milliseconds`: of each heavy layer, by kernel ("" is OpenVINO's choice)."""

    cpu: str
    openvino: str
    kernels: Kernels
    milliseconds: Mapping[str, Mapping[str, float]]


class Graph:
    """An OpenVINO graph on disk, which can be read with other kernels than its file names."""

    def __init__(self, path: Path) -> None:
        self._text = path.read_bytes()
        self._weights = path.with_suffix(".bin")

    @property
    def key(self) -> str:
        """A hash of its layers, without their weights."""
        return hashlib.sha256(self._text).hexdigest()

    def read(self, kernels: Kernels) -> Any:
        """The model, with these kernels and OpenVINO's choice for all other layers."""
        root = ElementTree.fromstring(self._text)  # noqa: S314 -- the bundle's hashes were checked
        for layer in root.iterfind("layers/layer[@type='Convolution']"):
            notes = layer.find("rt_info")
            if notes is None:
                notes = ElementTree.SubElement(layer, "rt_info")
            for old in notes.findall(f"attribute[@name='{_NOTE}']"):
                notes.remove(old)
            if kernel := kernels.get(layer.get("name", "")):
                ElementTree.SubElement(notes, "attribute", name=_NOTE, version="0", value=f"cpu:{kernel}")
        weights = openvino.Tensor(np.fromfile(self._weights, np.uint8))
        return core().read_model(model=ElementTree.tostring(root), weights=weights)


def tuned(path: Path, compiled: Compile, more: Mapping[str, Any] = {}, folder: Path | None = None) -> Any:
    """The graph at `path`, compiled with the settings `more` and the fastest kernels on this CPU.

    They are measured if no file in `folder` (default: in the user's cache) holds what was measured on such a CPU.
    """
    graph = Graph(path)
    cpu = cpu_model()
    key = hashlib.sha256(f"{cpu}, {openvino.__version__}, {graph.key}".encode()).hexdigest()[:16]
    file = (folder or Path(platformdirs.user_cache_dir("mgfn-stream")) / "kernels") / f"{key}.json"
    kernels = _kept(file)
    if kernels is None:
        tuning = measure(graph, compiled)
        kernels = tuning.kernels
        with suppress(OSError):  # it is measured again at the next start
            write_file(file, json.dumps(asdict(tuning), indent=1) + "\n")
    return compiled(graph.read(kernels), more)


def _kept(file: Path) -> Kernels | None:
    """What an earlier start measured; None if there is nothing, or nothing that this version measures."""
    try:
        kernels = dict(json.loads(file.read_bytes())["kernels"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = CANDIDATES.get(int8_instructions() or "", ())
    return kernels if all(kernel in known for kernel in kernels.values()) else None


def measure(graph: Graph, compiled: Compile) -> Tuning:
    """Run the graph with each kernel in turn, and take for each layer the one that was clearly the fastest.

    A kernel with which the output is not the same to the last bit is not taken.
    """
    usual = _Run(compiled(graph.read({}), {"PERF_COUNT": True}))
    layers = usual.convolutions()
    heavy = sorted(layers, key=lambda layer: -layers[layer])[:HEAVIEST]
    candidates = CANDIDATES.get(int8_instructions() or "", ())
    if not candidates or sum(layers.values()) < _WORTHWHILE_MS:
        return Tuning(cpu_model(), openvino.__version__, {}, {})
    _log.warning("measuring which kernels are fastest on this CPU; this happens once, and takes seconds")
    runs = {"": usual}
    for kernel in candidates:
        run = _Run(compiled(graph.read(dict.fromkeys(heavy, kernel)), {"PERF_COUNT": True}))
        if np.array_equal(run.output, usual.output):
            runs[kernel] = run
    best = {layer: dict.fromkeys(runs, float("inf")) for layer in heavy}
    until, rounds = time.monotonic() + _SECONDS, 0
    while rounds < _FEWEST_ROUNDS or time.monotonic() < until:
        for kernel, run in runs.items():  # in turn, because the load of the machine changes
            run.again()
            for layer, spent in run.convolutions().items():
                if layer in best:
                    best[layer][kernel] = min(best[layer][kernel], spent)
        rounds += 1
    shown = {layer: {kernel: round(ms, 3) for kernel, ms in row.items()} for layer, row in best.items()}
    return Tuning(cpu_model(), openvino.__version__, fastest(best), shown)


def fastest(milliseconds: Mapping[str, Mapping[str, float]]) -> Kernels:
    """The kernel of each layer that was clearly faster than OpenVINO's choice, "". Pure."""
    chosen = {}
    for layer, row in milliseconds.items():
        kernel = min(row, key=lambda name: row[name])
        if kernel and row[kernel] < _CLEARLY * row[""]:
            chosen[layer] = kernel
    return chosen


class _Run:
    """A compiled graph that is run on one input, the same for all."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        shape = [int(size) for size in compiled.input(0).shape]
        rng = np.random.default_rng(0)
        self._given = rng.integers(0, 256, shape, dtype=np.uint8)
        self.output: FloatArray = self.again()

    def again(self) -> FloatArray:
        return np.array(self._request.infer({0: self._given}, share_inputs=True)[0])

    def convolutions(self) -> dict[str, float]:
        """Milliseconds that each convolution took the last time."""
        return {
            node.node_name: node.real_time.total_seconds() * 1000
            for node in self._request.profiling_info
            if node.node_type == "Convolution"
        }
