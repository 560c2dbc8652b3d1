"""TensorRT plans, named by GPU architecture and TensorRT version, built from the half-precision ONNX graphs.

Written for TensorRT 10.x and 11.x; never run yet (docs/design/engines.md).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from configs.atomic import write_file
from configs.command import called
from engine.backends.batches import SIZES
from engine.bundle import Bundle
from engine.errors import BackendError, OutOfMemoryError
from engine.manifest import Manifest

_log = logging.getLogger(__name__)

Shape = tuple[int, ...]
Profile = tuple[Shape, Shape, Shape]
"""Smallest, typical and largest shape of a graph's input."""

STEMS: Final = ("backbone", "head")


@dataclass(frozen=True)
class Target:
    """What a plan is built for: one GPU architecture ("sm90") and one TensorRT version ("11.4.0.106")."""

    architecture: str
    version: str

    def plan_name(self, stem: str) -> str:
        """The file name of the plan of `stem` ("backbone" or "head") in a bundle or cache."""
        return f"{stem}.{self.architecture}.trt{self.version}.plan"


def profiles(stem: str, manifest: Manifest) -> list[Profile]:
    """One profile for each batch size of `batches.SIZES`; that of the head accepts windows of every length."""
    if stem == "backbone":
        return [((size, 16, 224, 224, 3),) * 3 for size in SIZES]
    tail = (manifest.crops, manifest.channels)
    return [((size, 1, *tail), (size, manifest.window, *tail), (size, manifest.window, *tail)) for size in SIZES]


def plan_of(bundle: Bundle, stem: str, target: Target) -> Path:
    """The plan of `stem` for `target`: from the bundle, or from the user's cache, where it is built if missing.

    Raises BackendError, with the plans that the bundle contains, if it has no half-precision graph to build from.
    """
    name, graph = target.plan_name(stem), f"{stem}-fp16.onnx"
    files = bundle.manifest.files
    if name in files:
        return bundle.file(name)
    others = ", ".join(sorted(file for file in files if file.startswith(f"{stem}.") and file.endswith(".plan")))
    if graph not in files:
        raise BackendError(
            f"bundle {bundle.path}: holds {others or 'no TensorRT plan'}, but this machine needs {name}, and there is "
            f"no {graph} to build it from; export it again here: {called('mgfn-export')} --trt"
        )
    cached = cache_folder() / files[graph][:16] / name
    if not cached.is_file():
        why = f"{others} was built for another GPU or TensorRT version" if others else "the bundle contains none"
        _log.warning("building the TensorRT %s (once, takes minutes): %s", name, why)
        build_plan(bundle.file(graph), cached, profiles(stem, bundle.manifest), target)
    return cached


def cache_folder() -> Path:
    """The folder of this machine's plans and timing caches."""
    return Path(platformdirs.user_cache_dir("mgfn-stream")) / "tensorrt"


def libraries() -> tuple[Any, Any]:
    """The modules `tensorrt` and `cuda.bindings.runtime`. Raises BackendError if one cannot be loaded."""
    try:
        import tensorrt
        from cuda.bindings import runtime
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackendError(f"TensorRT's libraries cannot be loaded ({reason}); install mgfn-stream[trt]") from None
    return tensorrt, runtime


def cuda_call(result: tuple[Any, ...]) -> Any:
    """The value of a call to the CUDA runtime. Raises OutOfMemoryError, or BackendError with CUDA's own message."""
    _, runtime = libraries()
    error, *values = result
    if error == runtime.cudaError_t.cudaErrorMemoryAllocation:
        raise OutOfMemoryError("CUDA: out of memory")
    if error != runtime.cudaError_t.cudaSuccess:
        raise BackendError(f"CUDA: {runtime.cudaGetErrorString(error)[1].decode()}")
    return values[0] if values else None


def this_machine(device: str) -> tuple[Target, int]:
    """The target of plans for `device` ("cuda" or "cuda:N"), and the index of the GPU; selects that GPU.

    Raises BackendError if there is no such GPU.
    """
    tensorrt, runtime = libraries()
    index = int(device.partition(":")[2] or 0)
    try:
        count = cuda_call(runtime.cudaGetDeviceCount())
    except (BackendError, RuntimeError) as error:  # RuntimeError: there is no CUDA library
        raise BackendError(f"device {device}: no GPU can be used here ({str(error).splitlines()[0]})") from None
    if index >= count:
        raise BackendError(f"device {device}: not found; this machine has {count} GPU(s), cuda:0 to cuda:{count - 1}")
    cuda_call(runtime.cudaSetDevice(index))
    attributes = runtime.cudaDeviceAttr
    major = cuda_call(runtime.cudaDeviceGetAttribute(attributes.cudaDevAttrComputeCapabilityMajor, index))
    minor = cuda_call(runtime.cudaDeviceGetAttribute(attributes.cudaDevAttrComputeCapabilityMinor, index))
    return Target(f"sm{major}{minor}", tensorrt.__version__), index


def build_plan(graph: Path, plan: Path, shapes: list[Profile], target: Target) -> None:
    """Build `plan` from an ONNX graph with one input. Raises BackendError with the message of the parser or builder."""
    tensorrt, _ = libraries()
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    # 11.x types every network strongly and ignores the flag
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise BackendError(f"TensorRT {target.version} cannot load {graph.name}: {reason}")
    config = builder.create_builder_config()
    for smallest, typical, largest in shapes:
        profile = builder.create_optimization_profile()
        profile.set_shape(network.get_input(0).name, smallest, typical, largest)
        config.add_optimization_profile(profile)
    timings = cache_folder() / f"{target.architecture}.trt{target.version}.timing"
    config.set_timing_cache(config.create_timing_cache(timings.read_bytes() if timings.is_file() else b""), False)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise BackendError(f"TensorRT {target.version} could not build a plan of {graph.name}: see its log above")
    # both use TensorRT's own memory
    write_file(timings, bytes(memoryview(config.get_timing_cache().serialize())))
    write_file(plan, bytes(memoryview(serialized)))
