"""Test bundles take 15 to 25 s to build, so all workers and runs share them until the code that builds them changes.

`python -m tests.built_once` builds them beforehand, where `make test` has a core to spare.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tests.bundles import field_sources, write_bundle, write_tiny_bundle

ROOT = Path(__file__).parents[1]
BUILDERS = ("mgfn", "export", "engine", "configs")  # and tests/bundles.py


KEPT = ROOT / ".pytest_cache" / "bundles"


def tiny() -> Path:
    """A bundle of tiny models, in every form."""
    return built_in(KEPT / "tiny", "tiny", lambda folder: write_tiny_bundle(folder, all_forms=True))


def field() -> Path:
    """A bundle of tiny models with all that the default one has beside networks, in every form."""
    return built_in(
        KEPT / "bundle-field", "field", lambda folder: write_bundle(field_sources(), folder, all_forms=True)
    )


def built_in(kept: Path, name: str, build: Callable[[Path], object]) -> Path:
    """The folder that `build` writes, kept in `kept` under a hash of the code; the first process builds it."""
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
    for package in ("torch", "onnx", "onnxscript", "openvino", "mgfn-stream"):
        digest.update(f"{package} {version(package)}\n".encode())
    sources = [Path(__file__).with_name("bundles.py")]
    sources += [path for folder in BUILDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    tiny()
    field()
