"""A file for FFmpeg that Python opens, writes and closes.

PyAV holds the interpreter's lock while FFmpeg creates or ends a file. If the disk hangs there, no thread of the process
runs. Python's own file operations release the lock.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path
from typing import Any


class LateFile:
    """A new file at `path`, created by the first write. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._file: FileIO | None = None

    def write(self, data: bytes) -> int:
        if self._file is None:
            self._file = FileIO(self.name, "w+")
        left = memoryview(data)
        while left:  # a signal or a full disk may cut a write short
            left = left[self._file.write(left) or 0 :]
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return 0 if self._file is None else self._file.seek(offset, whence)

    def tell(self) -> int:
        return 0 if self._file is None else self._file.tell()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def reading(self, url: str, flags: int, options: dict[str, Any]) -> FileIO:  # noqa: ARG002 -- PyAV's `io_open`
        """The same file, to be read (`faststart` moves what was written)."""
        return FileIO(url)
