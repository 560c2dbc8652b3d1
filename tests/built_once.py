"""Test bundles take 15 to 25 s to build and a recording 3 s, so all workers and runs share them until the code changes.

`python -m tests.built_once` builds them beforehand, where `make test` has a core to spare.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import pickle
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.bundles import field_sources, write_bundle, write_tiny_bundle
from tests.servers.rtsp import encode, moving_pictures

ROOT = Path(__file__).parents[1]
BUILDERS = ("mgfn", "export", "engine", "configs")  # and BESIDE
BESIDE = ("bundles.py", "servers/rtsp.py")
FPS = 25


KEPT = ROOT / ".pytest_cache" / "bundles"


def tiny() -> Path:
    """A bundle of tiny models, in every form."""
    return built_in(KEPT / "tiny", "tiny", lambda folder: write_tiny_bundle(folder, all_forms=True))


def field() -> Path:
    """A bundle of tiny models with all that the default one has beside networks, in every form."""
    return built_in(
        KEPT / "bundle-field", "field", lambda folder: write_bundle(field_sources(), folder, all_forms=True)
    )


@functools.cache
def recording(seconds: int = 120) -> list[bytes]:
    """The first `seconds` of two minutes of moving pictures for a camera: access units, 25 a second."""

    def build(path: Path) -> None:
        path.write_bytes(pickle.dumps(encode(moving_pictures(120 * FPS), FPS)))

    found: list[bytes] = pickle.loads(built_in(KEPT / "recording", "units", build).read_bytes())  # noqa: S301 -- our own
    return found[: seconds * FPS]


def built_in(kept: Path, name: str, build: Callable[[Path], object]) -> Path:
    """The file or folder that `build` writes, kept in `kept` under a hash of the code; the first process builds it."""
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        generation = kept / _hash()
        if not (generation / "complete").exists():
            for old in kept.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            generation.mkdir()
            build(generation / name)
            (generation / "complete").touch()
    return generation / name


def _hash() -> str:
    digest = hashlib.sha256()
    for package in ("torch", "onnx", "onnxscript", "openvino", "av", "mgfn-stream"):
        digest.update(f"{package} {version(package)}\n".encode())
    sources = [Path(__file__).parent / name for name in BESIDE]
    sources += [path for folder in BUILDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    tiny()
    field()
    recording()
