"""The folder of feature files: how they were made, which exist, and how one is written completely or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import gethostname
from typing import BinaryIO, Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from configs.atomic import PARTIAL, partial_path
from engine.arrays import FloatArray
from engine.backends.base import Form
from engine.manifest import Sha256
from stream.base.errors import StreamError, UsageError

RECORD: Final = "extract.json"
_FEATURES: Final = ".npy"


class Record(BaseModel):
    """`extract.json`: how all feature files of the folder were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Sha256
    backbone: str
    engine: str
    precision: Form
    channels: int
    crops: int
    geometry: str


class FeatureFolder:
    """`--out`: one NAME.npy for each video, float32 (clips, crops, channels), all made with one `Record`.

    `claimed` opens it for a run; the tasks of a run on a cluster use it as it is.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self._record = record

    @classmethod
    @contextmanager
    def claimed(cls, path: Path, record: Record) -> Iterator[Self]:
        """Create the folder, or continue in it. While it is open, no other run writes there.

        Raises UsageError if it cannot be written, if its files were made differently, or if another run writes there. A
        record without features is ignored.
        """
        folder = cls(path, record)
        with ExitStack() as stack:
            try:
                path.mkdir(parents=True, exist_ok=True)
                foreign = None if (path / RECORD).exists() else min(path.glob(f"[!.]*{_FEATURES}"), default=None)
                if foreign is not None:
                    raise UsageError(
                        f"--out {path}: holds {foreign.name} but no {RECORD}: it is unknown what created it; "
                        "choose another folder"
                    )
                file = stack.enter_context((path / RECORD).open("a+b"))  # the lock belongs to the open file
                folder._lock(file)
                file.seek(0)
                before = file.read()
                if before and not folder._is_ours(before):
                    file.truncate(0)
                    before = b""
                if not before:
                    file.write(record.model_dump_json(indent=2).encode() + b"\n")
                    file.flush()
            except OSError as error:
                raise UsageError(f"--out {path}: {error.strerror}") from None
            try:
                yield folder
            finally:
                for partial in path.glob(f".*{PARTIAL}{_FEATURES}"):  # from this run, or from one that was killed
                    partial.unlink(missing_ok=True)

    def check_seen(self) -> None:
        """Raise UsageError unless this machine sees the folder that the run on another one has opened."""
        try:
            theirs = Record.model_validate_json((self.path / RECORD).read_bytes())
        except (OSError, ValidationError):
            theirs = None
        if theirs != self._record:
            raise UsageError(f"--out {self.path}: {gethostname()} does not see this folder; all machines must share it")

    def _lock(self, file: BinaryIO) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"--out {self.path}: another mgfn-extract is writing there; wait for it to finish"
            ) from None
        except OSError:
            pass  # a file system without locks

    def _is_ours(self, before: bytes) -> bool:
        """Whether the existing record is that of this run. Raises UsageError if features were made with another one."""
        where = f"--out {self.path}"
        try:
            theirs = Record.model_validate_json(before)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"]) or "as a whole"
            raise UsageError(f"{where}: {RECORD}: {at}: {first['msg']}; choose another folder") from None
        if not any(self.path.glob(f"[!.]*{_FEATURES}")):
            return theirs == self._record
        for key, ours in self._record:
            if (other := getattr(theirs, key)) != ours:
                raise UsageError(
                    f"{where}: its features were made with {key} {other}, but this run uses {ours}; "
                    "choose another folder"
                )
        return True

    def file(self, name: str) -> Path:
        """The path of the features of the video `name`."""
        return self.path / f"{name}{_FEATURES}"

    def holds(self, name: str) -> bool:
        """Whether the features of that video exist, complete and with the right shape."""
        try:
            array = np.load(self.file(name), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        return (
            isinstance(array, np.ndarray)
            and array.dtype == np.float32
            and array.ndim == 3
            and len(array) > 0
            and array.shape[1:] == (self._record.crops, self._record.channels)
        )

    def begin(self, name: str) -> FeatureFile:
        """Start to write the features of a video. Raises StreamError if this fails."""
        return FeatureFile(self.file(name), self._record.crops, self._record.channels)


class FeatureFile:
    """One NAME.npy that grows on disk under a hidden name, so that long videos need not fit in memory.

    All methods except `abandon` raise StreamError if the disk refuses to write.
    """

    def __init__(self, path: Path, crops: int, channels: int) -> None:
        self._path = path
        self._partial = partial_path(path)
        self._tail = (crops, channels)
        self.clips = 0
        with self._blamed():
            self._file: BinaryIO = self._partial.open("wb")
            self._write_header()
        self._begins = self._file.tell()

    def append(self, features: FloatArray) -> None:
        """Append the features of the next clip, float32 (crops, channels)."""
        with self._blamed():
            self._file.write(np.ascontiguousarray(features, "<f4").tobytes())
        self.clips += 1

    def finish(self) -> None:
        """Rename the file: from now on it exists, complete."""
        with self._blamed():
            self._file.seek(0)
            self._write_header()
            if self._file.tell() != self._begins:  # NumPy reserves space for a growing first axis
                raise RuntimeError(f"the header of {self._path} has grown")
            self._file.close()
            self._partial.replace(self._path)

    def abandon(self) -> None:
        """Delete the file."""
        with suppress(OSError):  # a full disk fails again on buffered data
            self._file.close()
        self._partial.unlink(missing_ok=True)

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StreamError(f"{self._path}: cannot be written: {error.strerror}") from None

    def _write_header(self) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.clips, *self._tail)}
        np.lib.format.write_array_header_1_0(self._file, header)
