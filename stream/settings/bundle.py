"""Which model a command runs and where: the device that was named, and the bundle where none was."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typer

from configs.processes import child
from engine.default_bundle import DEFAULT_BACKBONE, default_bundle_path, default_export
from engine.manifest import MANIFEST
from stream.base.errors import StreamError, UsageError

_DAY: Final = 86_400.0
_UNUSED_FOR: Final = 60 * _DAY
_BUILT_WITHIN: Final = _DAY


def check_device(device: str) -> None:
    """Raise UsageError unless `device` is auto, cpu or cuda[:N]."""
    kind, colon, number = device.partition(":")
    if device not in ("auto", "cpu") and not (kind == "cuda" and (not colon or number.isdigit())):
        raise UsageError(f"--device {device}: must be auto, cpu or cuda[:N]")


def cached_bundle(backbone: str = DEFAULT_BACKBONE, weights: Path | None = None) -> Path:
    """The folder of a backbone's bundle, by default of the default one.

    If it is not there, `mgfn-export` builds it in a process of its own; where that refuses, its line stands and
    the command ends with its exit code 2. Raises UsageError without the export extra and for a file that cannot be
    read, StreamError where the build fails.
    """
    try:
        path = default_bundle_path(backbone, weights)
    except OSError as error:
        raise UsageError(f"--backbone-weights {weights}: cannot be read: {error.strerror}") from None
    if (path / MANIFEST).is_file():
        with suppress(OSError):  # a cache that is read-only is nobody's to sweep
            os.utime(path / MANIFEST)
        return path
    named = "default bundle" if backbone == DEFAULT_BACKBONE else f"bundle of {backbone}"
    if find_spec("torch") is None:
        raise UsageError(f"--bundle: none given, and building the {named} needs: pip install 'mgfn-stream[export]'")
    flags, why = default_export(backbone)
    if weights is not None or backbone == DEFAULT_BACKBONE:  # for others mgfn-export says at once what it lacks
        print(f"building the {named} (once): {why}", file=sys.stderr)  # noqa: T201 -- before a log line makes sense
    # its errors are this command's; -P: a folder named "export" where the user stands is not ours
    run = f"from export.cli import main; main({Path(sys.argv[0]).name!r})"
    command = [sys.executable, "-P", "-c", run, "--out", str(path), "--backbone", backbone, *flags]
    command += [] if weights is None else ["--backbone-weights", str(weights)]
    code = _run(command)
    if code == 2:
        raise typer.Exit(2)
    if code:
        raise StreamError(f"the {named} could not be built: see above")
    sweep(path.parent.parent, time.time())
    return path


def sweep(cache: Path, now: float) -> list[Path]:
    """Delete from the cache what nobody has used for two months, by epoch time `now`; returns what is gone.

    Bundles of other versions and heads, and scratch folders of builds that were killed.
    """
    gone = []
    for path, used, lasts in _cached(cache):
        if now - used > lasts:
            with suppress(OSError):
                shutil.rmtree(path)
                gone.append(path)
    return gone


def _cached(cache: Path) -> Iterator[tuple[Path, float, float]]:
    """Each folder that may go, when it was used last, and for how long it is kept after that."""
    for path in cache.glob("bundles/*"):
        with suppress(OSError):
            scratch = path.name.startswith(".")  # as mgfn-export names them
            used = path if scratch else path / MANIFEST
            yield path, used.stat().st_mtime, _BUILT_WITHIN if scratch else _UNUSED_FOR


def bundle_of(sha256: str, places: Sequence[Path]) -> Path:
    """The bundle with that hash: in one of `places`, or in the cache. Raises UsageError where it is gone."""
    cached = default_bundle_path().parent
    for folder in [*places, *(cached.iterdir() if cached.is_dir() else ())]:
        manifest = folder / MANIFEST
        with suppress(OSError):  # where the event's bundle lay may be another user's
            if manifest.is_file() and hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
                return folder
    looked = ", ".join(str(place) for place in places)
    raise UsageError(f"--bundle: the event's bundle (SHA-256 {sha256[:12]}...) is neither {looked} nor in {cached}")


def _run(command: list[str]) -> int:
    """The exit code of a child; it is asked to end, and so cleans up, where this process must."""
    with child(command) as process:
        return process.wait()
