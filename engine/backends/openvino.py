"""OpenVINO on the CPU: the fastest engine there. Compiled graphs are cached so that a start takes a second."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino
import platformdirs

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.bundle import Bundle
from engine.errors import BackendError

INT8_GRAPH: Final = "backbone-int8.xml"
_MOST_STREAMS: Final = 8


class OpenVinoBackend:
    """One compiled model for each graph; float32 stays float32 also where bfloat16 is faster.

    The INT8 form has the backbone in eight bits; the head, a few per cent of the work, is float32 in both. One clip
    runs on all cores, which answers soonest; several run side by side, each on a core of its own, which does most.
    """

    def __init__(self, bundle: Bundle, device: str, form: Form) -> None:
        del device  # the registry admits only the CPU
        self.precision = form
        self.name = "openvino-int8" if form == "int8" else "openvino"
        self._core = openvino.Core()
        self._graph = bundle.file(INT8_GRAPH if form == "int8" else "backbone.onnx")
        self._backbone = self._compiled(self._graph).create_infer_request()
        self._head: Any = None
        if bundle.manifest.head:  # a millisecond of work: a second thread costs more than it does
            self._head = self._compiled(bundle.file("head.onnx"), INFERENCE_NUM_THREADS=1).create_infer_request()
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.batch = min(self._cores, _MOST_STREAMS)
        self._streams: list[Any] = []

    def _compiled(self, graph: Path, **more: Any) -> Any:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"} | _cache() | more
        try:
            return self._core.compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise BackendError(f"backend {self.name}: does not take {graph.name}: {reason}") from None

    def features(self, clips: UInt8Array) -> FloatArray:
        if len(clips) == 1 or self.batch == 1:
            return self._run(self._backbone, clips)
        if not self._streams:  # first needed where several cameras are ready at once
            compiled = self._compiled(self._graph, NUM_STREAMS=self.batch, INFERENCE_NUM_THREADS=self._cores)
            self._streams = [compiled.create_infer_request() for _ in range(self.batch)]
        # No AsyncInferQueue: destroyed while one of its threads waits for Python's lock, it hangs.
        parts = [clips[index : index + 1] for index in range(len(clips))]
        features: list[FloatArray] = []
        for index, part in enumerate(parts):
            if index >= self.batch:
                features.append(self._finished(index - self.batch))
            self._streams[index % self.batch].start_async({0: part}, share_inputs=True)
        features += [self._finished(index) for index in range(len(features), len(parts))]
        return np.concatenate(features)

    def _finished(self, index: int) -> FloatArray:
        request = self._streams[index % self.batch]
        request.wait()
        return np.array(request.get_output_tensor().data)

    def scores(self, windows: FloatArray) -> FloatArray:
        return self._run(self._head, windows)

    @staticmethod
    def _run(request: Any, given: np.ndarray) -> FloatArray:
        # The request reuses its output's memory: what leaves must be a copy.
        return np.array(request.infer({0: given}, share_inputs=True)[0])

    def close(self) -> None:
        del self._backbone, self._head, self._streams, self._core


def _cache() -> dict[str, str]:
    """Where compiled graphs are kept; nowhere on a file system that is read-only: only the start takes longer."""
    folder = Path(platformdirs.user_cache_dir("mgfn-stream")) / "openvino"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return {"CACHE_DIR": str(folder)} if os.access(folder, os.W_OK) else {}
