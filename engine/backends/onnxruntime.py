"""ONNX Runtime, on the CPU or on CUDA. Arrays are passed through I/O binding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime
from numpy.typing import NDArray

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.backends.batches import SIZES, in_batches
from engine.bundle import Bundle
from engine.errors import BackendError, OutOfMemoryError

Provider = tuple[str, dict[str, str]]

CPU: Final[Provider] = ("CPUExecutionProvider", {})


def cuda_provider(index: str) -> Provider:
    """CUDA on GPU `index`. TF32 would round float32 graphs to 10 bits; half precision has separate graphs."""
    return "CUDAExecutionProvider", {"device_id": index, "use_tf32": "0"}


def device_index(device: str) -> str:
    """ "cuda:1" -> "1", "cuda" -> "0"."""
    return device.partition(":")[2] or "0"


def graph_names(bundle: Bundle, form: Form) -> tuple[str, str | None]:
    """The file names of the ONNX graphs of the backbone and the head (None without a head)."""
    suffix = "-fp16.onnx" if form == "fp16" else ".onnx"
    return f"backbone{suffix}", f"head{suffix}" if bundle.manifest.head else None


class GraphSession:
    """One ONNX graph with one input, on the first of `providers` that accepts it.

    Raises BackendError if the graph cannot be loaded, or if the first provider does not start.
    """

    def __init__(
        self,
        graph: Path,
        providers: Sequence[Provider],
        device: str,
        options: onnxruntime.SessionOptions | None = None,
    ) -> None:
        options = options or onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # threads that spin between two clips would take the cores of the decoders
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=list(providers) or None)
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no narrower base class
            raise BackendError(f"ONNX Runtime cannot load {graph.name} on {device}: {_line(error)}") from None
        if providers and providers[0][0] not in self._session.get_providers():
            raise BackendError(f"device {device}: ONNX Runtime could not start {providers[0][0]} on it")
        self._given = self._session.get_inputs()[0].name
        self._wanted = [output.name for output in self._session.get_outputs()]
        self._where = ("cuda", int(device_index(device))) if device.startswith("cuda") else ("cpu", 0)

    def run(self, given: NDArray[Any], output: int = 0) -> FloatArray:
        """One of the graph's outputs for `given`. Raises OutOfMemoryError."""
        try:
            binding = self._session.io_binding()
            binding.bind_ortvalue_input(self._given, onnxruntime.OrtValue.ortvalue_from_numpy(given, *self._where))
            binding.bind_output(self._wanted[output], *self._where)
            self._session.run_with_iobinding(binding)
            return binding.copy_outputs_to_cpu()[0]
        except Exception as error:
            text = str(error).lower()
            if "out of memory" in text or "failed to allocate memory" in text:
                raise OutOfMemoryError(f"ONNX Runtime: {_line(error)}") from None
            raise


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:600]


class OnnxRuntimeBackend:
    """One session for each graph of the bundle. On CUDA it is called `onnxruntime-cuda`, in either precision."""

    def __init__(self, bundle: Bundle, device: str, form: Form, one_core: bool = False) -> None:
        self._cuda = device.startswith("cuda")
        self.batch = max(SIZES) if self._cuda else 1
        self.precision = form
        self.name = "onnxruntime-cuda" if self._cuda else "onnxruntime-fp16" if form == "fp16" else "onnxruntime"
        providers = [CPU]
        if self._cuda:
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise BackendError(
                    f"device {device}: this ONNX Runtime has no CUDA; install mgfn-stream[gpu] instead of [cpu]"
                )
            providers.insert(0, cuda_provider(device_index(device)))
        options = onnxruntime.SessionOptions()
        if one_core:
            options.intra_op_num_threads = options.inter_op_num_threads = 1
        backbone, head = graph_names(bundle, form)
        self._backbone = GraphSession(bundle.file(backbone), providers, device, options)
        self._head = GraphSession(bundle.file(head), providers, device, options) if head else None

    def features(self, clips: UInt8Array) -> FloatArray:
        # CUDA tunes its convolutions for each new shape, and there are few
        return in_batches(self._backbone.run, clips) if self._cuda else self._backbone.run(clips)

    def scores(self, windows: FloatArray) -> FloatArray:
        assert self._head is not None  # noqa: S101 -- Engine only asks for scores if the bundle has a head
        return self._head.run(windows)

    def parts(self, windows: FloatArray) -> FloatArray:
        assert self._head is not None  # noqa: S101 -- as for scores
        return self._head.run(windows, output=1)

    def close(self) -> None:
        del self._backbone, self._head
