"""Third-party backbone weights: downloaded once, verified, cached; parsed only after the SHA-256 has matched."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from configs.pinned import FetchError, PinnedFile, cache_folder, sha256_of
from configs.pinned import fetch as fetch_pinned

FloatArray = NDArray[np.float32]
Network = TypeVar("Network", bound=nn.Module)


class WeightsError(Exception):
    """Weights that are unavailable or not trustworthy; the message is one line for the user."""


def pinned(backbone: str) -> PinnedFile:
    """The pin of a backbone's published weights. Raises KeyError if none are published."""
    return PinnedFile.named("weights.json", backbone)


def fetch(backbone: str, folder: Path | None = None) -> Path:
    """The path of the verified checkpoint of `backbone`, downloaded on first use.

    Raises WeightsError if offline (with the command to run by hand), and if a hash differs.
    """
    try:
        return fetch_pinned(pinned(backbone), folder or cache_folder("weights"))
    except FetchError as error:
        raise WeightsError(f"weights of {backbone}: {error}") from None


def check(path: Path, pin: PinnedFile, backbone: str) -> None:
    """Raise WeightsError unless the file's SHA-256 is the pinned one."""
    if not path.is_file():
        raise WeightsError(f"weights of {backbone}: {path}: no such file")
    if (found := sha256_of(path)) != pin.sha256:
        raise WeightsError(f"weights of {backbone}: {path} has SHA-256 {found}, expected {pin.sha256}")


_ADMITTED: Final = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # NumPy 2 moved the module; the checkpoint uses the name in NumPy 1.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


_DEEPEST: Final = 16  # a dict that contains itself has no end


class _ArraysOnly(pickle.Unpickler):
    """Admits the three names that a pickled array needs, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise WeightsError(f"checkpoint names {module}.{name}; only NumPy arrays are allowed") from None


def read_arrays(path: Path) -> dict[str, FloatArray]:
    """Nested dicts of arrays in a pickle -> flat dict with keys joined by "/".

    Raises WeightsError for any other content. Check the file's hash first.
    """
    try:
        with path.open("rb") as file:
            tree = _ArraysOnly(file).load()
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 -- a damaged pickle makes its reader raise almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is not a checkpoint of arrays: {reason}") from None
    flat: dict[str, FloatArray] = {}

    def walk(node: Any, prefix: str, depth: int) -> None:
        if isinstance(node, np.ndarray) and node.dtype.kind == "f":
            flat[prefix] = np.asarray(node, dtype=np.float32)
        elif isinstance(node, dict) and depth < _DEEPEST:
            for key, child in node.items():
                walk(child, f"{prefix}/{key}" if prefix else str(key), depth + 1)
        else:
            found = f"{type(node).__name__} {getattr(node, 'dtype', '')}".strip()
            raise WeightsError(f"{path}: {prefix or 'the file content'} is a {found}, expected an array of floats")

    walk(tree, "", 0)
    return flat


def read_dict(path: Path, backbone: str) -> dict[Any, Any]:
    """The dict in a file of `torch.save`, read by PyTorch's `weights_only`, so that no code in it is run.

    Raises WeightsError for a missing, truncated or damaged file, one that requires code, and any other content.
    """
    if not path.is_file():
        raise WeightsError(f"weights of {backbone}: {path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a damaged pickle makes PyTorch's reader raise almost anything
        # PyTorch's own message on unpickling explains how to run code from the file
        reason = "damaged, or contains more than arrays and plain values"
        if isinstance(error, (RuntimeError, OSError)) and str(error):
            reason = str(error).splitlines()[0]
        raise WeightsError(f"weights of {backbone}: cannot read {path}: {reason}") from None
    if not isinstance(content, dict):
        raise WeightsError(f"weights of {backbone}: {path} holds a {type(content).__name__}, expected a state dict")
    return content


def filled(
    build: Callable[[], Network], state: Mapping[Any, Any], path: Path, backbone: str, prefix: str = ""
) -> Network:
    """The network with the arrays of `state`, read from `path`, in evaluation mode; `prefix` precedes its names.

    Raises WeightsError that names what is missing, superfluous or misshapen, before the network takes any memory.
    """
    with torch.device("meta"):
        wanted = {prefix + name: value for name, value in build().state_dict().items()}
    problems = [f"missing {name}" for name in wanted if name not in state]
    problems += [f"unexpected {str(name)[:80]!r}" for name in state if name not in wanted]
    for name, value in wanted.items():
        if name in state and not _is_dense(state[name]):
            problems.append(f"{name} is not a plain array of numbers")
        elif name in state and state[name].shape != value.shape:
            problems.append(f"{name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}")
    if problems:
        shown = "; ".join(problems[:4]) + ("; ..." if len(problems) > 4 else "")
        raise WeightsError(f"weights of {backbone}: {path} does not fit: {shown}")
    network = build()
    network.load_state_dict({name.removeprefix(prefix): state[name] for name in wanted})
    return network.eval()


def _is_dense(value: object) -> bool:
    if not isinstance(value, Tensor) or value.is_nested or value.is_meta or value.is_quantized:
        return False
    return value.layout is torch.strided and not value.is_complex()
