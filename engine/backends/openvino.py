"""OpenVINO on the CPU: the fastest engine there. Compiled graphs are cached so that a start takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino
import platformdirs

from engine.arrays import FloatArray, UInt8Array
from engine.bundle import Bundle


class OpenVinoBackend:
    """One compiled model for each graph of the bundle; float32 stays float32 also where bfloat16 is faster."""

    name = "openvino"

    def __init__(self, bundle: Bundle, device: str) -> None:
        del device  # the registry admits only the CPU
        self._core = openvino.Core()
        self._backbone = self._request(bundle.file("backbone.onnx"))
        self._head = self._request(bundle.file("head.onnx")) if bundle.manifest.head else None

    def _request(self, graph: Path) -> Any:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "CACHE_DIR": str(Path(platformdirs.user_cache_dir("mgfn-stream")) / "openvino"),
        }
        return self._core.compile_model(graph, "CPU", settings).create_infer_request()

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
