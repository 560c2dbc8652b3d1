"""Files and folders that appear completely or not at all: written next to their target, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zlib import crc32

PARTIAL: Final = ".part"
_MACHINE: Final = f"{crc32(os.uname().nodename.encode()):08x}"


def partial_path(path: Path) -> Path:
    """The path where this process writes a file before it is renamed to `path`.

    The name is hidden, keeps the suffix (encoders use it to choose a format), and contains machine and process id, so
    that two processes do not write to the same file, not even in a folder that machines share.
    """
    return path.with_name(f".{path.stem}.{_MACHINE}-{os.getpid()}{PARTIAL}{path.suffix}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to. It replaces `path` when the block succeeds, and is deleted when it fails.

    Creates the folder. Raises OSError like the writing itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file; text as UTF-8. A concurrent reader of `path` sees the old content or the new."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill. It replaces `path` when the block succeeds, and is deleted when it fails.

    An existing folder is deleted after the exchange. A link at `path` stays, and points to the new folder.
    """
    path = path.resolve()  # "." has no name
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        if path.exists():
            retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            path.replace(retired / path.name)
            scratch.replace(path)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
