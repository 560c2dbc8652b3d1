"""TensorRT on an NVIDIA GPU, or TensorRT-RTX through ONNX Runtime, whichever is installed.

| installed | packages | runs |
|---|---|---|
| TensorRT | `tensorrt`, `cuda-bindings` | plans of the bundle, or built from its half-precision graphs |
| TensorRT-RTX | `onnxruntime` >= 1.24, `onnxruntime-ep-nv-tensorrt-rtx-cu13` | the ONNX graphs; RTX cards only |

Neither has been run yet. docs/design/engines.md explains why there are two.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Form
from engine.backends.batches import SIZES, in_batches
from engine.backends.plans import STEMS, cuda_call, libraries, plan_of, this_machine
from engine.bundle import Bundle
from engine.errors import BackendError, OutOfMemoryError

PLUGIN: Final = "onnxruntime_ep_nv_tensorrt_rtx"
Run = Callable[[NDArray[Any], int], FloatArray]  # a batch and the number of the output that is wanted


class TensorRtBackend:
    """Backbone and head in half precision, in batches of `batches.SIZES`; larger ones are split."""

    name = "tensorrt"
    batch = max(SIZES)
    precision: Form = "fp16"

    def __init__(self, bundle: Bundle, device: str, form: Form, one_core: bool = False) -> None:
        del form, one_core  # half precision if the bundle contains it
        graphs = {stem: run for stem, run in self._open(bundle, device).items() if run is not None}
        self._backbone, self._head = graphs["backbone"], graphs.get("head")

    @staticmethod
    def _open(bundle: Bundle, device: str) -> dict[str, Run | None]:
        refused: list[str] = []
        for needed, way in WAYS:
            if not all(map(_importable, needed)):
                continue
            try:
                return way(bundle, device)
            except BackendError as error:
                refused.append(str(error))
        if refused:
            raise BackendError(f"backend tensorrt: {'; '.join(refused)}")
        raise BackendError(
            "backend tensorrt: not installed; run: pip install 'mgfn-stream[trt]' (TensorRT), or on an RTX card "
            "'mgfn-stream[trt-rtx]' (its plug-in for ONNX Runtime)"
        )

    def features(self, clips: UInt8Array) -> FloatArray:
        return in_batches(lambda batch: self._backbone(batch, 0), clips)

    def scores(self, windows: FloatArray) -> FloatArray:
        return self._run_head(windows, 0)

    def parts(self, windows: FloatArray) -> FloatArray:
        return self._run_head(windows, 1)

    def _run_head(self, windows: FloatArray, output: int) -> FloatArray:
        head = self._head
        assert head is not None  # noqa: S101 -- Engine only asks for scores if the bundle has a head
        return in_batches(lambda batch: head(batch, output), windows)

    def close(self) -> None:
        del self._backbone, self._head


def _importable(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even the parent package
        return False


def _with_plans(bundle: Bundle, device: str) -> dict[str, Run | None]:
    target, index = this_machine(device)
    stems = STEMS if bundle.manifest.head else STEMS[:1]
    return {stem: PlanRunner(plan_of(bundle, stem, target), index).run for stem in stems}


def _with_plugin(bundle: Bundle, device: str) -> dict[str, Run | None]:
    import onnxruntime

    plugin = import_module(PLUGIN)
    name = plugin.get_ep_name()
    try:
        onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no narrower base class
        if "already registered" not in str(error):
            raise BackendError(f"the TensorRT-RTX plug-in cannot be loaded: {' '.join(str(error).split())}") from None
    devices = [found for found in onnxruntime.get_ep_devices() if found.ep_name == name]
    index = int(device.partition(":")[2] or 0)
    if index >= len(devices):
        raise BackendError(f"device {device}: the TensorRT-RTX plug-in sees {len(devices)} RTX card(s)")
    options = onnxruntime.SessionOptions()
    options.add_provider_for_devices([devices[index]], {})
    return _sessions(bundle, device, options)


def _sessions(bundle: Bundle, device: str, options: Any) -> dict[str, Run | None]:
    from engine.backends.onnxruntime import GraphSession, graph_names

    names = graph_names(bundle, "fp16" if "backbone-fp16.onnx" in bundle.manifest.files else "float32")
    return {
        stem: GraphSession(bundle.file(name), [], device, options).run if name else None
        for stem, name in zip(STEMS, names, strict=True)
    }


WAYS: Final = (
    (("tensorrt", "cuda.bindings"), _with_plans),
    (("onnxruntime", PLUGIN), _with_plugin),
)


class PlanRunner:
    """One plan on one GPU, with a `_Lane` for each batch size in use."""

    def __init__(self, plan: Path, index: int) -> None:
        tensorrt, _ = libraries()
        self._index = index
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_bytes())
        if self._engine is None:
            raise BackendError(f"TensorRT {tensorrt.__version__} cannot load {plan.name}: see its log above")
        self._lanes: dict[int, _Lane] = {}

    def run(self, given: NDArray[Any], output: int) -> FloatArray:
        """The plan's output for a batch of one of SIZES. Raises OutOfMemoryError."""
        _, runtime = libraries()
        cuda_call(runtime.cudaSetDevice(self._index))  # of this thread
        size = len(given)
        if size not in self._lanes:
            self._lanes[size] = _Lane(self._engine, SIZES.index(size), given.dtype)
        return self._lanes[size].run(given)[output]


class _Lane:
    """One profile of a plan: its context, a stream, pinned buffers, and a CUDA graph for the last shape.

    Copying in, the kernels and copying out are one graph; for another shape (window length) it is recorded again.
    """

    def __init__(self, engine: Any, profile: int, dtype: np.dtype[Any]) -> None:
        tensorrt, runtime = libraries()
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
        (self._given,) = inputs
        self._wanted = [name for name in names if name not in inputs]
        self._context = engine.create_execution_context()
        if self._context is None:
            raise OutOfMemoryError("TensorRT: no memory for another execution context")
        self._stream = cuda_call(runtime.cudaStreamCreate())
        largest = tuple(engine.get_tensor_profile_shape(self._given, profile)[2])
        if not (
            self._context.set_optimization_profile_async(profile, int(self._stream))
            and self._context.set_input_shape(self._given, largest)
        ):
            raise BackendError(f"TensorRT: the plan has no profile {profile}")
        self._in = _Pair(int(np.prod(largest)), np.dtype(dtype))
        self._out = [
            _Pair(int(np.prod(tuple(self._context.get_tensor_shape(name)))), np.dtype(np.float32))
            for name in self._wanted
        ]
        self._context.set_tensor_address(self._given, self._in.device)
        for name, pair in zip(self._wanted, self._out, strict=True):
            self._context.set_tensor_address(name, pair.device)
        self._shape: tuple[int, ...] = ()
        self._out_shapes: list[tuple[int, ...]] = []
        self._graph: Any = None

    def run(self, given: NDArray[Any]) -> list[FloatArray]:
        _, runtime = libraries()
        self._in.host[: given.size] = given.reshape(-1)
        if given.shape != self._shape:
            self._record(given.shape)
        cuda_call(runtime.cudaGraphLaunch(self._graph, self._stream))
        cuda_call(runtime.cudaStreamSynchronize(self._stream))
        return [
            pair.host[: int(np.prod(shape))].reshape(shape).copy()
            for pair, shape in zip(self._out, self._out_shapes, strict=True)
        ]

    def _record(self, shape: tuple[int, ...]) -> None:
        _, runtime = libraries()
        if not self._context.set_input_shape(self._given, shape):
            raise BackendError(f"TensorRT: the plan accepts no {self._given} of shape {shape}")
        self._out_shapes = [tuple(self._context.get_tensor_shape(name)) for name in self._wanted]
        self._enqueue()  # run once without recording: what TensorRT prepares for a new shape cannot be recorded
        cuda_call(runtime.cudaStreamSynchronize(self._stream))
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        cuda_call(runtime.cudaStreamBeginCapture(self._stream, mode))
        self._enqueue()
        recorded = cuda_call(runtime.cudaStreamEndCapture(self._stream))
        if self._graph is not None:
            cuda_call(runtime.cudaGraphExecDestroy(self._graph))
        self._graph = cuda_call(runtime.cudaGraphInstantiate(recorded, 0))
        cuda_call(runtime.cudaGraphDestroy(recorded))
        self._shape = shape

    def _enqueue(self) -> None:
        _, runtime = libraries()
        kind = runtime.cudaMemcpyKind
        given = self._in
        into, out = kind.cudaMemcpyHostToDevice, kind.cudaMemcpyDeviceToHost
        cuda_call(runtime.cudaMemcpyAsync(given.device, given.address, given.bytes, into, self._stream))
        if not self._context.execute_async_v3(int(self._stream)):
            raise BackendError("TensorRT: the plan did not run: see its log above")
        for wanted in self._out:
            cuda_call(runtime.cudaMemcpyAsync(wanted.address, wanted.device, wanted.bytes, out, self._stream))


class _Pair:
    """A pinned host buffer and its counterpart on the GPU; freed with this object."""

    def __init__(self, items: int, dtype: np.dtype[Any]) -> None:
        _, runtime = libraries()
        self.bytes = items * dtype.itemsize
        self.address = self.device = 0  # nothing to free yet
        self.address = cuda_call(runtime.cudaMallocHost(self.bytes))
        self.device = cuda_call(runtime.cudaMalloc(self.bytes))
        memory = (ctypes.c_byte * self.bytes).from_address(self.address)
        self.host: NDArray[Any] = np.ctypeslib.as_array(memory).view(dtype)

    def __del__(self) -> None:
        _, runtime = libraries()
        runtime.cudaFree(self.device)
        runtime.cudaFreeHost(self.address)
