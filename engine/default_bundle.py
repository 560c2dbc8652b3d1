"""The location of the default bundle: a cache folder named by a hash of everything that determines its content."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import metadata, resources
from pathlib import Path
from typing import Final

import platformdirs

from engine.backends import gpu_present
from engine.cpu import int8_instructions

DEFAULT_BACKBONE: Final = "i3d"
# Increment when the same inputs would give a different bundle: opset, files, quantisation.
_EXPORT_SETTINGS: Final = {"opset": 18, "layout": 5, "quantisation": 3}


@functools.cache  # the service must not read files for it later, while an update may be replacing them
def project_version() -> str:
    """The installed version of mgfn-stream."""
    return metadata.version("mgfn-stream")


def default_head() -> Path:
    """The head that ships with the project."""
    return Path(str(resources.files("configs").joinpath("heads", "default.safetensors")))


def default_export(backbone: str = DEFAULT_BACKBONE) -> tuple[list[str], str]:
    """The flags of `mgfn-export` for the default bundle on this machine, and the reason for them."""
    instructions = int8_instructions()
    if backbone != DEFAULT_BACKBONE:
        return [], "float32, for feature extraction"
    if gpu_present():
        return ["--fp16"], "half precision in addition to float32, because this machine has a GPU"
    if instructions:
        return ["--int8"], f"INT8, because this CPU has {instructions}"
    return [], "float32, because this CPU has neither VNNI nor AMX"


def default_bundle_path(backbone: str = DEFAULT_BACKBONE, weights: Path | None = None) -> Path:
    """The folder of the bundle that is built on first use; it need not exist yet.

    Without arguments, that of the default bundle. Otherwise that of another backbone, with the pinned weights (if there
    are any) or those in the file `weights`. Raises OSError if that cannot be read.
    """
    pins = json.loads(resources.files("configs").joinpath("weights.json").read_text(encoding="utf-8"))
    pinned = pins.get(backbone, {}).get("sha256")
    ingredients = {
        "version": project_version(),
        "backbone": backbone,
        "weights": pinned if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest(),
        "head": hashlib.sha256(default_head().read_bytes()).hexdigest(),
        "settings": _EXPORT_SETTINGS,
        "flags": default_export(backbone)[0],
    }
    key = hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("mgfn-stream")) / "bundles" / key
