"""ONNX Runtime, on the CPU or on CUDA."""

from __future__ import annotations

import onnxruntime

from engine.arrays import FloatArray, UInt8Array
from engine.bundle import Bundle
from engine.errors import BackendError


class OnnxRuntimeBackend:
    """One session for each graph of the bundle."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, device: str) -> None:
        providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise BackendError(
                    f"device {device}: this ONNX Runtime has no CUDA; install mgfn-stream[gpu] instead of [cpu]"
                )
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.partition(":")[2] or "0"}))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3

        def session(name: str) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(bundle.file(name), options, providers=providers)

        self._backbone = session("backbone.onnx")
        self._head = session("head.onnx") if bundle.manifest.head else None
        if device.startswith("cuda") and "CUDAExecutionProvider" not in self._backbone.get_providers():
            raise BackendError(f"device {device}: ONNX Runtime could not start CUDA on it")

    def features(self, clips: UInt8Array) -> FloatArray:
        return self._backbone.run(None, {"clips": clips})[0]

    def scores(self, windows: FloatArray) -> FloatArray:
        assert self._head is not None  # noqa: S101 -- Engine asks only bundles with a head
        return self._head.run(None, {"windows": windows})[0]

    def close(self) -> None:
        del self._backbone, self._head
