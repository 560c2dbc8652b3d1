"""A real disk that is small enough to fill."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A file system of that size, mounted at `folder`; skips the test without the right to mount."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    """Fill the disk of `folder` completely."""
    with (folder / "filler").open("ab", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(os.urandom(4096))


class HangingDisk:
    """A real file system; between `hang` and `go_on` whoever writes to it waits, and cannot even be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hangs = False

    def hang(self) -> None:
        subprocess.run(["fsfreeze", "--freeze", self.folder], check=True)
        self._hangs = True

    def go_on(self) -> None:
        if self._hangs:
            subprocess.run(["fsfreeze", "--unfreeze", self.folder], check=True)
        self._hangs = False


@contextmanager
def hanging_disk(folder: Path) -> Iterator[HangingDisk]:
    """A disk of 64 MiB, mounted at `folder`; skips the test without the right to mount."""
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    made = subprocess.run(["mkfs.ext4", "-q", image], capture_output=True)
    if made.returncode or subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    disk = HangingDisk(folder)
    try:
        yield disk
    finally:
        disk.go_on()
        subprocess.run(["umount", "-l", folder], check=True)
