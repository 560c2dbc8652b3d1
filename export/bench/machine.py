"""A description of the machine that was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from typing import Any, Final

from engine.backends import gpu_present
from engine.cpu import cpu_name, int8_instructions

_PACKAGES: Final = ("mgfn-stream", "av", "openvino", "onnxruntime", "onnxruntime-gpu", "tensorrt", "torch")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """The machine, its load before the measurement, and the versions of what is measured."""
    about: dict[str, Any] = {
        "cpu": cpu_name(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }
    if instructions := int8_instructions():
        about["int8"] = instructions
    if gpus := _gpus():
        about["gpus"] = gpus
    return about


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    if not gpu_present():
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 -- a fixed command
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in said.stdout.splitlines() if line.strip()]
