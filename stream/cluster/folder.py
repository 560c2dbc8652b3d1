"""Leases in a folder that all instances share.

`lease/KEY/FENCE` is one lease. It is created with link(2), which fails if the file exists, so only one of several
claims with the same fence takes effect; a claim counts only if it is then the highest of its key, because lower ones
are removed. `beat/SESSION` and `checkpoint/CAMERA` are replaced with rename(2).

The second guarantee (see `LeaseStore`) needs a file system in which a write that has returned is seen by every later
read, on every machine: a local disk for instances on one machine, a cluster file system such as CephFS, or NFS mounted
with `noac`, because NFS otherwise answers from a cache for up to a minute. Each exchange measures whether our own beat
reads back, which a folder that hangs fails.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from stream.base.errors import UsageError
from stream.base.foreign_json import foreign_json
from stream.base.ownership import SITE
from stream.cluster.records import Beat, Record, Snapshot, StoreError

_SITE_FILE: Final = "+site"  # no camera's name
_Told = TypeVar("_Told", Beat, Record)


class FolderStore:
    """See `LeaseStore`. Raises UsageError if the folder cannot be written at the start."""

    def __init__(self, folder: Path) -> None:
        self._leases, self._beats, self._checkpoints, self._drains = (
            folder / name for name in ("lease", "beat", "checkpoint", "drain")
        )
        try:
            for each in (self._leases, self._beats, self._checkpoints, self._drains):
                each.mkdir(parents=True, exist_ok=True)
            _replace(folder / f".probe-{secrets.token_hex(4)}", b"").unlink()
        except OSError as error:
            raise UsageError(f"--leases {folder}: cannot be written: {error.strerror}") from None

    def exchange(self, beat: Beat) -> Snapshot:
        with _as_store_errors():
            _replace(self._beats / beat.session, json.dumps(beat.as_json()).encode())
            return self._read()

    def look(self) -> Snapshot:
        with _as_store_errors():
            return self._read()

    def _read(self) -> Snapshot:
        beats = {path.name: beat for path in _shown(self._beats) if (beat := _read(path, Beat.from_json))}
        records = {_key(path.name): record for path in self._leases.iterdir() if (record := self._newest(path))}
        drained = frozenset(path.name for path in _shown(self._drains))
        return Snapshot(records, beats, drained=drained)

    @staticmethod
    def _newest(folder: Path) -> Record | None:
        fences = sorted((int(name) for name in os.listdir(folder) if name.isdecimal()), reverse=True)  # noqa: PTH208 -- names alone
        if fences and _read(newest := folder / str(fences[0]), Record.from_json) is None and newest.exists():
            return Record(fences[0], "?")  # damaged: free once this "session" has been silent for a lease
        return next((found for fence in fences if (found := _read(folder / str(fence), Record.from_json))), None)

    def claim(self, key: str, record: Record) -> None:
        with _as_store_errors():
            folder = self._leases / (key or _SITE_FILE)
            folder.mkdir(exist_ok=True)
            partial = _written(folder / str(record.fence), json.dumps(record.as_json()).encode())
            try:
                os.link(partial, folder / str(record.fence))
            except FileExistsError:
                return
            finally:
                partial.unlink()
            for name in os.listdir(folder):  # noqa: PTH208 -- names alone
                if name.isdecimal() and int(name) < record.fence - 1:
                    (folder / name).unlink(missing_ok=True)

    def save(self, camera: str, checkpoint: bytes) -> None:
        with _as_store_errors():
            if checkpoint:
                _replace(self._checkpoints / camera, checkpoint)
            else:
                (self._checkpoints / camera).unlink(missing_ok=True)

    def load(self, cameras: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for camera in cameras:
            with suppress(OSError):
                found[camera] = (self._checkpoints / camera).read_bytes()
        return found

    def drain(self, session: str) -> None:
        with _as_store_errors():
            (self._drains / session).touch()

    def forget(self, session: str) -> None:
        with _as_store_errors():
            (self._beats / session).unlink(missing_ok=True)
            (self._drains / session).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is open."""


class _as_store_errors:  # noqa: N801 -- reads as a statement
    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise StoreError(f"leases: {error.strerror or type(error).__name__}") from None


def _key(name: str) -> str:
    return SITE if name == _SITE_FILE else name


def _shown(folder: Path) -> list[Path]:
    """Its files, without those that are being written."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _read(path: Path, parse: Callable[[Any], _Told]) -> _Told | None:
    """None if it is gone, or is not ours."""
    try:
        return parse(foreign_json(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return None


def _written(beside: Path, content: bytes) -> Path:
    partial = beside.with_name(f".{secrets.token_hex(8)}")
    try:
        partial.write_bytes(content)
    except OSError:  # the disk is full
        partial.unlink(missing_ok=True)
        raise
    return partial


def _replace(path: Path, content: bytes) -> Path:
    return _written(path, content).replace(path)
