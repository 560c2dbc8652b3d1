"""TensorRT plans for the GPU of this machine. Never run yet: see docs/design/engines.md."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from engine.backends import gpu_present
from engine.backends.plans import STEMS, build_plan, profiles, this_machine
from engine.manifest import Manifest
from export.bundle import ExportError


def check_possible() -> None:
    """Raise ExportError, with what to install, if plans cannot be built."""
    missing = [
        name for name, package in (("tensorrt", "tensorrt"), ("cuda-bindings", "cuda")) if not find_spec(package)
    ]
    if not gpu_present():
        raise ExportError("--trt: no NVIDIA GPU found; plans must be built on the GPU that will run them")
    if missing:
        raise ExportError(f"--trt: needs {' and '.join(missing)}; run: pip install 'mgfn-stream[trt]'")


def write_plans(folder: Path, manifest: Manifest) -> None:
    """Build the plan of each half-precision graph in `folder`. Raises BackendError."""
    target, _ = this_machine("cuda")
    for stem in STEMS if manifest.head else STEMS[:1]:
        build_plan(folder / f"{stem}-fp16.onnx", folder / target.plan_name(stem), profiles(stem, manifest), target)
