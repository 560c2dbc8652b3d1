"""OpenVINO on the CPU, the fastest engine there; passed through to Intel GPUs and NPUs, on which it has never run.

Compiled graphs are not cached: compiling takes half a second, and OpenVINO's cache, which saves half of that, never
shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.backends.openvino_core import core
from engine.backends.openvino_kernels import tuned
from engine.bundle import Bundle
from engine.errors import BackendError

INT8_GRAPH: Final = "backbone-int8.xml"
_ONE_THREAD: Final = {"INFERENCE_NUM_THREADS": 1}


class OpenVinoBackend:
    """One compiled model for each graph; float32 stays float32 even where bfloat16 would be faster.

    The INT8 form has an eight-bit backbone; the head, a few per cent of the work, is float32 in both. A clip runs on
    all cores. The backbone is compiled for one clip, because with a fixed shape OpenVINO omits the transposition of the
    input. With `one_core` it runs in the calling thread. On a GPU or NPU the backbone computes in half precision, and
    the head stays on the CPU.
    """

    batch = 1

    def __init__(self, bundle: Bundle, device: str, form: Form, one_core: bool = False) -> None:
        on_cpu = device == "cpu"
        self.precision: Form = form if on_cpu else "fp16"
        self.name = f"openvino-{device}" if not on_cpu else "openvino-int8" if form == "int8" else "openvino"
        self._device = device.upper()
        threads = _ONE_THREAD if one_core and on_cpu else {}
        if form == "int8":
            graph = bundle.file(INT8_GRAPH)
            backbone = self._loaded(graph, lambda: tuned(graph, self._one_clip, threads))
        else:
            graph = bundle.file("backbone.onnx")
            backbone = self._loaded(graph, lambda: self._one_clip(core().read_model(graph), threads))
        self._backbone = backbone.create_infer_request()
        self._head: Any = None
        if bundle.manifest.head:  # a millisecond of work: a second thread would cost more than it saves
            head = bundle.file("head.onnx")
            self._head = self._loaded(
                head, lambda: self._compiled(core().read_model(head), _ONE_THREAD)
            ).create_infer_request()

    def _one_clip(self, model: Any, more: Mapping[str, Any] = {}) -> Any:
        model.reshape([1, *model.input().partial_shape[1:]])
        return self._compiled(model, more, self._device)

    def _compiled(self, model: Any, more: Mapping[str, Any], device: str = "CPU") -> Any:
        precision = "f32" if device == "CPU" else "f16"
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision, **more}
        return core().compile_model(model, device, settings)

    def _loaded(self, graph: Path, load: Callable[[], Any]) -> Any:
        try:
            return load()
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
        del self._backbone, self._head
