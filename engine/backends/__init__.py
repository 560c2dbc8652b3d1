"""Registry of backends. To add one, add a file to this folder and a row here; the shared tests then run on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from configs.command import called
from engine.backends.base import Backend, Form
from engine.backends.batches import GpuWithFallback
from engine.bundle import Bundle
from engine.cpu import int8_instructions
from engine.errors import BackendError


@dataclass(frozen=True)
class Row:
    """A backend: its class, the packages it needs (any of them), the extra that installs it, and its devices.

    `form` is the arithmetic of its artefacts, and `file` one of them: a bundle without that file cannot run here.
    """

    module: str
    type_name: str
    packages: tuple[str, ...]
    extra: str
    kinds: tuple[str, ...]
    form: Form = "float32"
    file: str = "backbone.onnx"


BACKENDS: Final = {
    "openvino": Row("engine.backends.openvino", "OpenVinoBackend", ("openvino",), "cpu", ("cpu", "gpu", "npu")),
    "openvino-int8": Row(
        "engine.backends.openvino", "OpenVinoBackend", ("openvino",), "cpu", ("cpu",), "int8", "backbone-int8.xml"
    ),
    "onnxruntime": Row(
        "engine.backends.onnxruntime", "OnnxRuntimeBackend", ("onnxruntime",), "cpu", ("cpu", "cuda")
    ),
    "onnxruntime-fp16": Row(
        "engine.backends.onnxruntime", "OnnxRuntimeBackend", ("onnxruntime",), "cpu", ("cpu", "cuda"),
        "fp16", "backbone-fp16.onnx",
    ),
    "tensorrt": Row(
        "engine.backends.tensorrt", "TensorRtBackend", ("tensorrt", "onnxruntime_ep_nv_tensorrt_rtx"), "trt",
        ("cuda",), "fp16",
    ),
    "torch": Row("engine.backends.torch", "TorchBackend", ("torch",), "export", ("cpu", "cuda")),
}  # fmt: skip
# Fastest first: on the CPU as measured (docs/design/engines.md), on CUDA as expected.
ORDER_CPU: Final = ("openvino", "onnxruntime", "torch")
ORDER_CUDA: Final = ("tensorrt", "onnxruntime", "torch")
OPENVINO_DEVICES: Final = ("gpu", "npu")  # Intel's; if they fail, OpenVINO takes the CPU


def installed(name: str) -> bool:
    """Whether a package of the backend is installed."""
    return any(find_spec(package) for package in BACKENDS[name].packages)


def gpu_present() -> bool:
    """Whether the NVIDIA driver finds a GPU on this machine."""
    return Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()


def open_backend(
    bundle: Bundle, name: str, device: str, *, float32: bool = False, one_core: bool = False
) -> tuple[Backend, str]:
    """The backend, and the reason for the choice.

    `name` is a key of BACKENDS or "auto"; `device` is "auto", "cpu", "cuda[:N]", "gpu" or "npu". "auto" takes the first
    that is installed and starts, from ORDER_CUDA if a GPU is present (or requested), and then from ORDER_CPU. OpenVINO
    uses the bundle's INT8 form where it is faster (`openvino-int8`), and ONNX Runtime on CUDA its half precision; with
    `float32` neither does. `one_core`: OpenVINO and ONNX Runtime use one core of the CPU.

    Raises BackendError if none starts, or if the named one does not.
    """
    if name != "auto" and name not in BACKENDS:
        raise BackendError(f"backend {name!r}: unknown; allowed: auto, {', '.join(BACKENDS)}")
    attempts = _attempts(name, device)
    if float32 and name == "auto":
        attempts = [(candidate, on) for candidate, on in attempts if BACKENDS[candidate].form == "float32"]
    skipped: list[str] = []
    for candidate, on in attempts:
        form, why = (candidate, BACKENDS[candidate].form) if float32 else _preferred_form(bundle, candidate, on)
        try:
            backend = start_backend(bundle, form, on, one_core=one_core)
        except BackendError as error:
            skipped.append(str(error))
            continue
        order = " > ".join(f"{c} on {d}" for c, d in attempts)
        named = name != "auto" or device in OPENVINO_DEVICES
        reason = "; ".join(["requested", *skipped]) if named else f"the first that works, in the order {order}"
        if on.startswith("cuda"):
            backend = GpuWithFallback(
                backend, lambda: open_backend(bundle, "auto", "cpu", float32=float32, one_core=one_core)[0]
            )
        return backend, f"{reason}; {why}" if why else reason
    problem = skipped[0] if len(skipped) == 1 else "no engine works on this machine: " + "; ".join(skipped)
    if all(on.startswith("cuda") for _, on in attempts) and not gpu_present():
        problem += "; no NVIDIA GPU found"
    raise BackendError(problem)


def open_next(bundle: Bundle, device: str, failed: Collection[str], *, one_core: bool = False) -> Backend:
    """The first backend that starts and is not one of `failed`, which are names as in `Backend.name`.

    Each is tried in its float32 form, too. Raises BackendError if there is none.
    """
    for candidate, on in _attempts("auto", device):
        for form in dict.fromkeys((_preferred_form(bundle, candidate, on)[0], candidate)):
            if name_on(form, on) in failed:
                continue
            try:
                backend = start_backend(bundle, form, on, one_core=one_core)
            except BackendError:
                continue
            if on.startswith("cuda"):
                backend = GpuWithFallback(backend, lambda: open_backend(bundle, "auto", "cpu", one_core=one_core)[0])
            return backend
    raise BackendError(f"no engine works on this machine except {', '.join(failed)}")


def name_on(row: str, device: str) -> str:
    """The name of the backend that the row of BACKENDS starts on `device`."""
    if device in OPENVINO_DEVICES:
        return f"{row}-{device}"
    return f"{row.partition('-')[0]}-cuda" if device.startswith("cuda") and row != "tensorrt" else row


def start_backend(bundle: Bundle, name: str, device: str, *, one_core: bool = False) -> Backend:
    """The backend with exactly that name, on `device` (any but "auto"). Raises BackendError."""
    row = BACKENDS[name]
    if device.partition(":")[0] not in row.kinds:
        runs_on = "a GPU" if row.kinds == ("cuda",) else " or ".join(row.kinds)
        raise BackendError(f"backend {name}: runs on {runs_on} only, not on {device}")
    if not installed(name):
        raise BackendError(f"backend {name}: not installed; run: pip install 'mgfn-stream[{row.extra}]'")
    if row.file not in bundle.manifest.files:
        raise BackendError(
            f"backend {name}: bundle {bundle.path} holds no {row.file}; export it: {called('mgfn-export')} --{row.form}"
        )
    backend: Backend = getattr(import_module(row.module), row.type_name)(bundle, device, row.form, one_core)
    return backend


def _attempts(name: str, device: str) -> list[tuple[str, str]]:
    """(backend, device) to try, in order."""
    if device in OPENVINO_DEVICES:
        row = "openvino" if name == "auto" else name
        return [(row, device), *([(row, "cpu")] if row == "openvino" else [])]
    if device != "auto":
        order = ORDER_CUDA if device.startswith("cuda") else ORDER_CPU
        return [(candidate, device) for candidate in (order if name == "auto" else (name,))]
    if name == "auto":
        return [*((c, "cuda") for c in ORDER_CUDA if gpu_present()), *((c, "cpu") for c in ORDER_CPU)]
    kinds = [kind for kind in ("cuda", "cpu") if kind in BACKENDS[name].kinds]
    if len(kinds) > 1 and not gpu_present():
        kinds.remove("cuda")
    return [(name, kind) for kind in kinds]


def _preferred_form(bundle: Bundle, name: str, device: str) -> tuple[str, str | None]:
    """The row to start for a named backend, and why it differs from the named one, if it does."""
    files = bundle.manifest.files
    if name == "openvino" and device == "cpu" and BACKENDS["openvino-int8"].file in files:
        instructions = int8_instructions()
        if instructions:
            return "openvino-int8", f"INT8, because this CPU has {instructions}"
        return name, "float32, because this CPU has neither VNNI nor AMX"
    if name == "onnxruntime" and device.startswith("cuda") and BACKENDS["onnxruntime-fp16"].file in files:
        return "onnxruntime-fp16", "half precision"
    return name, None
