"""OpenVINO on the CPU, the fastest engine there.

Nothing is cached: compiling takes half a second, and OpenVINO's cache, which saves half of that, never shrinks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.bundle import Bundle
from engine.errors import BackendError

INT8_GRAPH: Final = "backbone-int8.xml"


class OpenVinoBackend:
    """One compiled model for each graph; float32 stays float32 even where bfloat16 would be faster.

    The INT8 form has an eight-bit backbone; the head, a few per cent of the work, is float32 in both. A clip runs on
    all cores. The backbone is compiled for one clip, because with a fixed shape OpenVINO omits the transposition of the
    input.
    """

    batch = 1

    def __init__(self, bundle: Bundle, device: str, form: Form) -> None:
        del device  # the registry only admits the CPU
        self.precision = form
        self.name = "openvino-int8" if form == "int8" else "openvino"
        self._core = openvino.Core()
        graph = bundle.file(INT8_GRAPH if form == "int8" else "backbone.onnx")
        self._backbone = self._compiled(graph, clips=1).create_infer_request()
        self._head: Any = None
        if bundle.manifest.head:  # a millisecond of work: a second thread would cost more than it saves
            self._head = self._compiled(bundle.file("head.onnx"), INFERENCE_NUM_THREADS=1).create_infer_request()

    def _compiled(self, graph: Path, clips: int | None = None, **more: Any) -> Any:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"} | more
        try:
            model = self._core.read_model(graph)
            if clips is not None:
                model.reshape([clips, *model.input().partial_shape[1:]])
            return self._core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise BackendError(f"backend {self.name}: cannot load {graph.name}: {reason}") from None

    def features(self, clips: UInt8Array) -> FloatArray:
        # One after the other: batches in one graph are no faster on a CPU, and with two streams results were sometimes
        # wrong (docs/performance.md).
        return np.concatenate([self._run(self._backbone, clips[index : index + 1]) for index in range(len(clips))])

    def scores(self, windows: FloatArray) -> FloatArray:
        return self._run(self._head, windows)

    def parts(self, windows: FloatArray) -> FloatArray:
        return self._run(self._head, windows, output=1)

    @staticmethod
    def _run(request: Any, given: np.ndarray, output: int = 0) -> FloatArray:
        # The request reuses the memory of its output, so return a copy.
        return np.array(request.infer({0: given}, share_inputs=True)[output])

    def close(self) -> None:
        del self._backbone, self._head, self._core
