"""Test bundles take 15 to 25 s to build, so all workers and runs share them until the code that builds them changes."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILDERS = ("mgfn", "export", "engine", "configs")  # and tests/bundles.py


def built_once(name: str, config: pytest.Config, build: Callable[[Path], object]) -> Path:
    """The folder that `build` writes, kept in pytest's cache under a hash of the code; the first worker builds it."""
    assert config.cache is not None
    return built_in(config.cache.mkdir(f"bundle-{name}"), name, build)


def built_in(kept: Path, name: str, build: Callable[[Path], object]) -> Path:
    """The same, kept in that folder."""
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
