"""Where the default bundle lies: a cache folder named by a hash of all that goes into it."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata, resources
from pathlib import Path
from typing import Final

import platformdirs

from engine.backends import gpu_present
from engine.cpu import int8_instructions

# Raised when the same inputs would give another bundle: opset, files, quantisation.
_EXPORT_SETTINGS: Final = {"opset": 18, "layout": 2, "quantisation": 2}


def project_version() -> str:
    """The installed version of mgfn-stream."""
    return metadata.version("mgfn-stream")


def default_head() -> Path:
    """The head that ships with the project."""
    return Path(str(resources.files("configs").joinpath("heads", "default.safetensors")))


def default_export() -> tuple[list[str], str]:
    """Flags of `mgfn-export` for the default bundle on this machine, and why they are these."""
    instructions = int8_instructions()
    if gpu_present():
        return ["--fp16"], "half precision beside float32, as this machine has a GPU"
    if instructions:
        return ["--int8"], f"INT8, as this CPU has {instructions}"
    return [], "float32, as this CPU has neither VNNI nor AMX"


def default_bundle_path() -> Path:
    """Folder of the default bundle, whether or not it has been built."""
    weights = json.loads(resources.files("configs").joinpath("weights.json").read_text(encoding="utf-8"))
    ingredients = {
        "version": project_version(),
        "weights": weights["i3d"]["sha256"],
        "head": hashlib.sha256(default_head().read_bytes()).hexdigest(),
        "settings": _EXPORT_SETTINGS,
        "flags": default_export()[0],
    }
    key = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("mgfn-stream")) / "bundles" / key
