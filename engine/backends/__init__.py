"""Registry of backends: a new one is a file beside this and a row here; the shared tests run on it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine.backends.base import Backend
from engine.bundle import Bundle
from engine.errors import BackendError


@dataclass(frozen=True)
class Row:
    """A backend: where its class is, which package it needs, which extra brings it, whether it runs on CUDA."""

    module: str
    type_name: str
    package: str
    extra: str
    cuda: bool


BACKENDS: Final = {
    "openvino": Row("engine.backends.openvino", "OpenVinoBackend", "openvino", "cpu", cuda=False),
    "onnxruntime": Row("engine.backends.onnxruntime", "OnnxRuntimeBackend", "onnxruntime", "cpu", cuda=True),
    "torch": Row("engine.backends.torch", "TorchBackend", "torch", "export", cuda=True),
}
# Fastest first, as measured (docs/benchmarks/).
ORDER_CPU: Final = ("openvino", "onnxruntime", "torch")
ORDER_CUDA: Final = ("onnxruntime", "torch")


def installed(name: str) -> bool:
    """Whether the backend's package is there."""
    return find_spec(BACKENDS[name].package) is not None


def gpu_present() -> bool:
    """Whether the NVIDIA driver shows a GPU on this machine."""
    return Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()


def open_backend(bundle: Bundle, name: str, device: str) -> tuple[Backend, str]:
    """The backend and the reason for it.

    `name` is a key of BACKENDS or "auto"; `device` is "auto", "cpu" or "cuda[:N]". Auto takes the first that is
    installed and starts, of ORDER_CUDA where a GPU is present (or asked for) and then of ORDER_CPU.
    Raises BackendError if none does, or if the one that was named does not.
    """
    if name != "auto":
        if name not in BACKENDS:
            raise BackendError(f"backend {name!r}: unknown; allowed: auto, {', '.join(BACKENDS)}")
        return _start(bundle, name, "cpu" if device == "auto" else device), "asked for"
    attempts: list[tuple[str, str]] = []
    if device.startswith("cuda") or (device == "auto" and gpu_present()):
        attempts += [(candidate, "cuda" if device == "auto" else device) for candidate in ORDER_CUDA]
    if not device.startswith("cuda"):
        attempts += [(candidate, "cpu") for candidate in ORDER_CPU]
    skipped: list[str] = []
    for candidate, on in attempts:
        try:
            backend = _start(bundle, candidate, on)
        except BackendError as error:
            skipped.append(str(error))
        else:
            order = " > ".join(f"{c} on {d}" for c, d in attempts)
            return backend, f"first that works here of {order}"
    raise BackendError("no engine works here: " + "; ".join(skipped))


def _start(bundle: Bundle, name: str, device: str) -> Backend:
    row = BACKENDS[name]
    if not installed(name):
        raise BackendError(f"backend {name}: not installed; run: pip install 'mgfn-stream[{row.extra}]'")
    if device.startswith("cuda") and not row.cuda:
        raise BackendError(f"backend {name}: runs on the CPU only, not on {device}")
    backend: Backend = getattr(import_module(row.module), row.type_name)(bundle, device)
    return backend
