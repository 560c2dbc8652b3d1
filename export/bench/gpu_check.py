"""`mgfn-bench --gpu-check`: every claim about GPUs, measured in at most eight minutes, with nothing downloaded.

Each way to run the bundle is measured in a process of its own, because a CUDA error spoils the process. What could not
run is listed, with the reason. Without the default bundle, one with random weights is built: speed and parity do not
depend on them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from configs.atomic import write_file
from configs.processes import child
from engine.backends import open_backend
from engine.bundle import Bundle
from engine.default_bundle import default_bundle_path, default_head
from engine.known_clip import known_window
from engine.manifest import MANIFEST
from export.bench import machine
from export.verify import verification_clips

LIMIT: Final = 480.0
_ENGINES_UNTIL, _EACH, _COMPILING = 330.0, 60.0, 120.0
_CLIPS: Final = 4
# In the order of their value; DRY are those that also run without a GPU.
WAYS: Final = {
    "torch-fp32": "PyTorch, eager, float32",
    "torch-fp16": "PyTorch, eager, half precision",
    "torch": "PyTorch, CUDA graph, half precision (backend `torch`)",
    "onnxruntime-fp16": "ONNX Runtime, half precision",
    "torch-compile-fp16": "PyTorch, torch.compile, half precision",
    "onnxruntime": "ONNX Runtime, float32",
    "tensorrt": "TensorRT, half precision",
}
DRY: Final = ("torch-fp32", "torch", "onnxruntime", "tensorrt")  # the last one fails, and is listed

_SLOW_TO_START: Final = ("torch-compile-fp16", "tensorrt")

Say = Callable[[str], None]
Cameras = Callable[[Bundle, Mapping[str, Any], float], list[dict[str, Any]]]
"""Live cameras, from the bundle, the fastest row and the deadline."""


def check(bundle: Path | None, wheels: Path | None, cameras: Cameras, say: Say, *, dry: bool = False) -> dict[str, Any]:
    """Measure everything; returns plain JSON. `wheels` may hold a wheel of ONNX Runtime with CUDA."""
    began = time.monotonic()
    device = "cpu" if dry else "cuda"
    result: dict[str, Any] = {"machine": machine.describe(), "dry_run": dry, "ways": {}, "not_run": {}}
    with tempfile.TemporaryDirectory(prefix="mgfn-gpu-") as scratch, _bundle(bundle, Path(scratch), say) as opened:
        result["weights"] = opened.manifest.backbone.source
        say("the reference, on the CPU")
        reference = Path(scratch) / "reference.npz"
        np.savez(reference, **_reference(opened))
        environment = _with_wheel(wheels, Path(scratch), result["not_run"])
        for way in DRY if dry else WAYS:
            left = began + _ENGINES_UNTIL - time.monotonic()
            say(WAYS[way])
            if left < 5:
                result["not_run"][way] = "no time left"
                continue
            command = [str(opened.path), way, device, str(reference)]
            try:
                result["ways"][way] = _probe(
                    command, environment, min(left, _COMPILING if way in _SLOW_TO_START else _EACH)
                )
            except (subprocess.SubprocessError, ValueError) as error:
                result["not_run"][way] = _reason(error)
        if result["ways"]:
            say("live cameras, decoded on the CPU")
            fastest = max(result["ways"].values(), key=lambda row: max(row["clips_per_second"].values(), default=0.0))
            try:
                result["cameras"] = cameras(opened, fastest, began + LIMIT)
            except (OSError, RuntimeError) as error:
                result["not_run"]["live cameras"] = str(error)
    result["seconds"] = round(time.monotonic() - began)
    return result


@contextmanager
def _bundle(path: Path | None, scratch: Path, say: Say) -> Iterator[Bundle]:
    path = path or default_bundle_path()
    if not (path / MANIFEST).is_file():
        say("a bundle with random weights")
        from export.build import Wanted, build
        from export.bundle import random_sources

        path, head = scratch / "bundle", default_head()
        build(random_sources("i3d", head), head, Wanted(half=True, verified=False), path, say)
    yield Bundle.open(path)


def _reference(bundle: Bundle) -> dict[str, Any]:
    """Clips, and what float32 on the CPU makes of them."""
    given = verification_clips(_CLIPS, 1)[:, 0]
    backend, _ = open_backend(bundle, "auto", "cpu", float32=True)
    found: dict[str, Any] = {
        "clips": given,
        "features": np.concatenate([backend.features(clip[None]) for clip in given]),
    }
    if bundle.manifest.head is not None:
        crops = np.repeat(found["features"][:1], bundle.manifest.crops, axis=0)
        found["window"] = known_window(crops)[None]
        found["scores"] = backend.scores(found["window"])
    backend.close()
    return found


def _with_wheel(wheels: Path | None, scratch: Path, not_run: dict[str, str]) -> dict[str, str]:
    """The environment of the probes: with ONNX Runtime from a wheel in the folder, if there is one."""
    environment = dict(os.environ)
    if wheels is None:
        return environment
    found = sorted(wheels.glob("onnxruntime_gpu*.whl"))
    if not found:
        not_run["ONNX Runtime's wheel"] = f"{wheels} holds no onnxruntime_gpu*.whl"
        return environment
    with zipfile.ZipFile(found[-1]) as wheel:
        wheel.extractall(scratch / "wheel")
    paths = [str(scratch / "wheel"), environment.get("PYTHONPATH", "")]
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _probe(arguments: list[str], environment: Mapping[str, str], seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "export.bench.gpu_probe", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    with child(command, **pipes, start_new_session=True) as process:
        out, said = process.communicate(timeout=seconds)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments[1], stderr=said)
    return dict(json.loads(out.splitlines()[-1]))


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not finished after {error.timeout:.0f} s"
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return lines[-1].rpartition("Error: ")[2].strip()[:300] if lines else type(error).__name__


def markdown(found: Mapping[str, Any]) -> str:
    """The result as a page."""
    about = found["machine"]
    gpu = ", ".join(about.get("gpus", ())) or "no GPU"
    sizes = sorted({size for row in found["ways"].values() for size in row["clips_per_second"]}, key=int)
    lines = [
        f"# GPU check: {gpu}", "",
        *(["**Dry run on the CPU: no figure here is one of a GPU.**", ""] if found["dry_run"] else []),
        f"{about['cpu']}, {about['cores']} cores. Weights: {found['weights']}. Took {found['seconds']} s.", "",
        "| way | " + " | ".join(f"clips/s, batch {size}" for size in sizes) + " | features differ from the CPU by "
        "| score differs by |",
        "|---" * (len(sizes) + 3) + "|",
    ]  # fmt: skip
    for way, row in found["ways"].items():
        rates = [str(row["clips_per_second"].get(size, "")) for size in sizes]
        change = row.get("score_change", "")
        lines.append(f"| {WAYS[way]} | {' | '.join(rates)} | {row['relative_error']:.2g} | {change} |")
    lines += ["", "| cameras (640x360, 25 frames/s) | held | dropped clips | lag p95, ms |", "|---|---|---|---|"]
    for one in found.get("cameras", ()):
        held, lag = "yes" if one["held"] else one.get("note") or "no", one.get("lag_ms", {}).get("p95", "")
        lines.append(f"| {one['cameras']} | {held} | {one['dropped_clips']} | {lag} |")
    problems = {WAYS[way]: row["problem"] for way, row in found["ways"].items() if "problem" in row}
    not_run = {WAYS.get(way, way): why for way, why in found["not_run"].items()} | problems
    lines += ["", "What did not run:", "", *(f"- {what}: {why}" for what, why in not_run.items())]
    return "\n".join(lines if not_run else lines[:-3]) + "\n"


def write(found: Mapping[str, Any], target: Path) -> list[Path]:
    """Write the JSON, and the page beside it (.md)."""
    write_file(target, json.dumps(found, indent=1) + "\n")
    write_file(target.with_suffix(".md"), markdown(found))
    return [target, target.with_suffix(".md")]
