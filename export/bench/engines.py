"""Measures every available engine and its peers one after the other, each in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from configs.processes import child
from engine.backends import BACKENDS, gpu_present, installed, name_on, open_backend
from engine.bundle import Bundle
from export.bench.probe import PEERS

_PROBE_SECONDS, _PEER_SECONDS = 150.0, 75.0
# its graphs run on a CPU only for verification
_NOT_ON_CPU: Final = ("onnxruntime-fp16",)


def wanted(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """(backend or peer, device): what can run here, fastest first, peers last."""
    files = bundle.manifest.files
    for device in ("cuda", "cpu") if gpu_present() else ("cpu",):
        for name, row in BACKENDS.items():
            runs = installed(name) and device in row.kinds and row.file in files
            if runs and not (device == "cpu" and name in _NOT_ON_CPU):
                yield name, device
    for peer in PEERS:
        if installed(peer.partition("-")[0]) and (peer != "torch-window" or bundle.manifest.head is not None):
            yield peer, "cpu"


def chosen(bundle: Bundle) -> tuple[str, str]:
    """(backend, device) that `mgfn-stream` takes here. Raises BackendError."""
    backend, _ = open_backend(bundle, "auto", "auto")
    name = backend.name
    backend.close()
    return next((row, device) for row, device in wanted(bundle) if row in BACKENDS and name_on(row, device) == name)


def measure(
    bundle: Bundle, deadline: float, say: Callable[[str], None], rows: list[dict[str, Any]], notes: list[str],
    *, only_chosen: bool = False,
) -> None:  # fmt: skip
    """Add the results of each engine to `rows`, and what could not be measured, with the reason, to `notes`.

    With `only_chosen`, of the engine that `mgfn-stream` takes here. What does not fit before `deadline` (monotonic) is
    omitted, with a note.
    """
    for name, device in [chosen(bundle)] if only_chosen else wanted(bundle):
        left = deadline - time.monotonic()
        if left < 1:
            notes.append(f"{name} on {device}: omitted, no time left")
            continue
        say(f"{name} on {device}")
        limit = min(left, _PEER_SECONDS if name in PEERS else _PROBE_SECONDS)
        try:
            rows.append({**_probe(bundle.path, name, device, limit), "device": device})
        except (subprocess.SubprocessError, ValueError) as error:
            notes.append(f"{name} on {device}: omitted, {_reason(error)}")


def _probe(bundle: Path, name: str, device: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "export.bench.probe", str(bundle), name, device]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with child(command, **pipes, start_new_session=True) as process:
        out, said = process.communicate(timeout=seconds)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, name, stderr=said)
    return dict(json.loads(out.splitlines()[-1]))


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not finished after {error.timeout:.0f} s"
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return lines[-1][:300] if lines else type(error).__name__
