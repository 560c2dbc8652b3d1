"""OpenVINO on the CPU: the fastest engine there. Compiled graphs are cached so that a start takes a second."""

from __future__ import annotations

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


class OpenVinoBackend:
    """One compiled model for each graph; float32 stays float32 also where bfloat16 is faster.

    The INT8 form has the backbone in eight bits; the head, a few per cent of the work, is float32 in both.
    """

    def __init__(self, bundle: Bundle, device: str, form: Form) -> None:
        del device  # the registry admits only the CPU
        self.precision = form
        self.name = "openvino-int8" if form == "int8" else "openvino"
        self._core = openvino.Core()
        self._backbone = self._request(bundle.file(INT8_GRAPH if form == "int8" else "backbone.onnx"))
        self._head = self._request(bundle.file("head.onnx")) if bundle.manifest.head else None

    def _request(self, graph: Path) -> Any:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "CACHE_DIR": str(Path(platformdirs.user_cache_dir("mgfn-stream")) / "openvino"),
        }
        try:
            return self._core.compile_model(graph, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise BackendError(f"backend {self.name}: does not take {graph.name}: {reason}") from None

    def features(self, clips: UInt8Array) -> FloatArray:
        return self._run(self._backbone, clips)

    def scores(self, windows: FloatArray) -> FloatArray:
        return self._run(self._head, windows)

    @staticmethod
    def _run(request: Any, given: np.ndarray) -> FloatArray:
        # The request reuses its output's memory: what leaves must be a copy.
        return np.array(request.infer({0: given}, share_inputs=True)[0])

    def close(self) -> None:
        del self._backbone, self._head, self._core
