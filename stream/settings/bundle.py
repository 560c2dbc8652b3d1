"""Which model a command uses, and on which device; finds or builds the default bundle."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typer

from configs.command import called
from configs.processes import child
from engine.bundle import Bundle
from engine.default_bundle import DEFAULT_BACKBONE, default_bundle_path, default_export
from engine.manifest import MANIFEST
from stream.alarm.rule import AlarmSettings
from stream.base.errors import StreamError, UsageError

_DAY: Final = 86_400.0
_UNUSED_FOR: Final = 60 * _DAY
_BUILT_WITHIN: Final = _DAY
_ENDED_WITHIN: Final = 3.0  # seconds, of the 5 in which a command ends


def check_device(device: str) -> None:
    """Raise UsageError unless `device` is auto, cpu, cuda[:N], gpu or npu."""
    kind, colon, number = device.partition(":")
    if device not in ("auto", "cpu", "gpu", "npu") and not (kind == "cuda" and (not colon or number.isdigit())):
        raise UsageError(f"--device {device}: must be auto, cpu, cuda[:N], gpu or npu")


def alarm_of(bundle: Bundle) -> AlarmSettings:
    """The alarm settings where nothing else is configured. Raises UsageError for a bundle without a head."""
    thresholds = bundle.manifest.thresholds
    if thresholds is None:
        raise UsageError(
            f"--bundle {bundle.path}: has no head; build a bundle with one: {called('mgfn-export')} --head"
        )
    alarm = AlarmSettings(thresholds.on, thresholds.off)
    return alarm if thresholds.min_duration is None else replace(alarm, min_duration=thresholds.min_duration)


def cached_bundle(backbone: str = DEFAULT_BACKBONE, weights: Path | None = None) -> Path:
    """The folder of a backbone's bundle; by default, that of the default bundle.

    If it does not exist, `mgfn-export` builds it in a child process. If that refuses, its message is printed and the
    command ends with its exit code 2. Raises UsageError if the export extra is missing or a file cannot be read, and
    StreamError if the build fails.
    """
    try:
        path = default_bundle_path(backbone, weights)
    except OSError as error:
        raise UsageError(f"--backbone-weights {weights}: cannot be read: {error.strerror}") from None
    if (path / MANIFEST).is_file():
        with suppress(OSError):  # a read-only cache need not be swept
            os.utime(path / MANIFEST)
        return path
    named = "default bundle" if backbone == DEFAULT_BACKBONE else f"bundle of {backbone}"
    if find_spec("torch") is None:
        raise UsageError(f"--bundle: none given, and building the {named} needs: pip install 'mgfn-stream[export]'")
    flags, why = default_export(backbone)
    # for other backbones mgfn-export itself says what is missing
    if weights is not None or backbone == DEFAULT_BACKBONE:
        print(f"building the {named} (once): {why}", file=sys.stderr)  # noqa: T201 -- before log lines are useful
    # its errors are printed as those of this command; with -P a folder named "export" in the working folder is ignored
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
    """Delete from the cache what has not been used for two months, at epoch time `now`; returns the deleted folders.

    These are bundles of other versions and heads, and temporary folders of builds that were killed.
    """
    gone = []
    for path, used, lasts in _cached(cache):
        if now - used > lasts:
            with suppress(OSError):
                shutil.rmtree(path)
                gone.append(path)
    return gone


def _cached(cache: Path) -> Iterator[tuple[Path, float, float]]:
    """Each folder that may be deleted, when it was last used, and for how long it is kept after that."""
    for path in cache.glob("bundles/*"):
        with suppress(OSError):
            scratch = path.name.startswith(".")  # the naming of mgfn-export
            used = path if scratch else path / MANIFEST
            yield path, used.stat().st_mtime, _BUILT_WITHIN if scratch else _UNUSED_FOR


def bundle_of(sha256: str, places: Sequence[Path]) -> Path:
    """The bundle with that hash, in one of `places` or in the cache. Raises UsageError if it does not exist."""
    cached = default_bundle_path().parent
    for folder in [*places, *(cached.iterdir() if cached.is_dir() else ())]:
        manifest = folder / MANIFEST
        with suppress(OSError):  # the folder of the event's bundle may belong to another user
            if manifest.is_file() and hashlib.sha256(manifest.read_bytes()).hexdigest() == sha256:
                return folder
    looked = ", ".join(str(place) for place in places)
    raise UsageError(f"--bundle: the event's bundle (SHA-256 {sha256[:12]}...) is neither {looked} nor in {cached}")


def _run(command: list[str]) -> int:
    """The exit code of a child process. It is asked to end, and so can clean up, if this process must end."""
    with child(command, _ENDED_WITHIN) as process:
        return process.wait()
