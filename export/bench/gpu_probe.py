"""Measures one way to run a bundle on the GPU, in a separate process: `gpu-check` starts one for each way.

`python -m export.bench.gpu_probe BUNDLE WAY DEVICE REFERENCE.npz` prints the result as one JSON object. DEVICE `cpu` is
the dry run: the same code without a GPU, with two batch sizes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray, UInt8Array
from engine.backends import start_backend
from engine.backends.base import Backend
from engine.bundle import Bundle
from engine.manifest import MANIFEST
from export.bench.probe import clips, pytorch_network, timed

BATCHES: Final = (1, 8, 32, 128)
DRY_BATCHES: Final = (1, 2)
_SECONDS: Final = 3.0  # for each batch size
Features = Callable[[UInt8Array], FloatArray]


def _torch(bundle: Bundle, device: str, *, half: bool, compiled: bool = False) -> Features:
    import torch

    network: Any = pytorch_network(bundle).to(device)
    if half:
        network = network.half()
        for weight in network.parameters():
            if weight.ndim == 5:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)
    if compiled:
        network = torch.compile(network)

    @torch.inference_mode()
    def features(given: UInt8Array) -> FloatArray:
        return np.asarray(network(torch.from_numpy(given).to(device)).float().cpu().numpy())

    return features


@contextmanager
def _opened(bundle: Bundle, name: str, device: str) -> Iterator[Backend]:
    backend = start_backend(bundle, name, device)
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def _with_plans(bundle: Bundle) -> Iterator[Bundle]:
    """A copy of the bundle with TensorRT plans for this GPU."""
    from export.trt import write_plans

    with tempfile.TemporaryDirectory(prefix="mgfn-gpu-") as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(bundle.path, folder)
        write_plans(folder, bundle.manifest)
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for plan in folder.glob("*.plan"):
            manifest["files"][plan.name] = hashlib.sha256(plan.read_bytes()).hexdigest()
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        yield Bundle.open(folder)


def measure(features: Features, device: str, reference: FloatArray, given: UInt8Array) -> dict[str, Any]:
    """Parity of features beside the CPU's, and clips per second by batch size."""
    found = np.concatenate([features(clip[None]) for clip in given])
    lengths = np.linalg.norm(reference, axis=1)
    error = float((np.linalg.norm(found - reference, axis=1) / lengths).max())
    row: dict[str, Any] = {"relative_error": float(f"{error:.3g}"), "clips_per_second": {}}
    for size in DRY_BATCHES if device == "cpu" else BATCHES:
        batch = clips(size)
        try:
            seconds, _ = timed(lambda: features(batch), 0.0 if device == "cpu" else _SECONDS)  # noqa: B023 -- called at once
        except RuntimeError as full:
            row["problem"] = f"batch {size}: {str(full).splitlines()[0][:200]}"
            break
        row["clips_per_second"][str(size)] = round(size / seconds, 2)
    return row


def _backend(bundle: Bundle, name: str, device: str, reference: Any) -> dict[str, Any]:
    with _opened(bundle, name, device) as backend:
        found = measure(backend.features, device, reference["features"], reference["clips"])
        if "window" in reference:
            scores = backend.scores(reference["window"])
            found["score_change"] = float(f"{np.abs(scores - reference['scores']).max():.3g}")
            found["head_window_ms"] = round(timed(lambda: backend.scores(reference["window"]), 1.0)[0] * 1000, 3)
        return found | {"engine": backend.name, "precision": backend.precision}


def run(bundle: Bundle, way: str, device: str, reference: Any) -> dict[str, Any]:
    """One of WAYS."""
    if way == "tensorrt" and device != "cpu":
        with _with_plans(bundle) as with_plans:
            return _backend(with_plans, way, device, reference)
    if way in ("torch", "onnxruntime", "onnxruntime-fp16", "tensorrt"):
        return _backend(bundle, way, device, reference)
    features = _torch(bundle, device, half="fp16" in way, compiled="compile" in way)
    return measure(features, device, reference["features"], reference["clips"])


def main() -> None:
    path, way, device, reference = sys.argv[1:]
    with np.load(reference) as file:
        found = run(Bundle.open(Path(path)), way, device, dict(file))
    print(json.dumps(found))  # noqa: T201 -- the result


if __name__ == "__main__":
    main()
