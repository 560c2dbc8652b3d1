"""`--scores` and `--events`: files with one JSON object per line.

A separate thread writes, so the scoring loop never waits for a disk or for the reader of a FIFO. If the disk is full or
hangs, lines are lost, but no alarm is delayed.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Final

from stream.base.errors import UsageError
from stream.base.log import log

_LINES: Final = 10_000
_CLOSED_WITHIN: Final = 2.0


class ScoresFile:
    """Appends lines. Lines that cannot be written are counted, and the problem is logged once until it is over.

    At most 10,000 lines wait; further ones are lost. If `patient` (in a replay), `write` waits for room instead.
    """

    def __init__(self, path: Path, flag: str = "--scores", *, patient: bool = False) -> None:
        self._path = path
        self._what = flag.removeprefix("--")
        self._patient = patient
        self._file: FileIO | None = None
        self._torn = self._told = False
        self.lost = 0  # since it was written last
        self.lost_in_all = 0
        self._lines: queue.Queue[bytes | None] = queue.Queue(_LINES)
        try:
            if not path.is_fifo():  # opening one waits for its reader
                self._file = FileIO(path, "ab")
            elif not os.access(path, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise UsageError(f"{flag} {path}: cannot be written: {error.strerror}") from None
        self._thread = threading.Thread(target=self._run, name=self._what, daemon=True)
        self._thread.start()

    def write(
        self, camera: str, clip: int, start: float, end: float, score: float, raw: float, threshold: float, window: int
    ) -> None:
        """Append a score line (docs/watching.md). Times in seconds; `score`, `raw` and `threshold` in [0, 1]."""
        self.write_line(
            {
                "camera": camera,
                "clip": clip,
                "start": round(start, 3),
                "end": round(end, 3),
                "score": round(score, 6),
                "raw": round(raw, 6),
                "threshold": round(threshold, 6),
                "window": window,
            }
        )

    def write_line(self, content: Mapping[str, Any]) -> None:
        """Append one JSON object."""
        data = json.dumps(content).encode() + b"\n"
        if self._patient:
            self._lines.put(data)
            return
        try:
            self._lines.put_nowait(data)
        except queue.Full:
            self._lose("the file does not respond")

    def close(self) -> None:
        """Write the waiting lines; give up after 2 s if the file hangs."""
        try:
            self._lines.put(None, timeout=None if self._patient else _CLOSED_WITHIN)
        except queue.Full:
            return
        self._thread.join(None if self._patient else _CLOSED_WITHIN)
        if self._thread.is_alive():
            log.error(
                f"{self._what} lost: the file does not respond",
                file=str(self._path),
                lost=self.lost + self._lines.qsize(),
            )

    def _run(self) -> None:
        while (data := self._lines.get()) is not None:
            self._append(data)
        if self._file is not None:
            self._file.close()

    def _append(self, data: bytes) -> None:
        # a line truncated by a full disk must not swallow the next one
        data = b"\n" * self._torn + data
        try:
            if self._file is None:
                self._file = FileIO(self._path, "ab" if not self._path.is_fifo() else "wb")
            self._torn = self._file.write(data) != len(data)
            if self._torn:
                raise OSError(28, "disk full")
        except OSError as error:
            self._lose(error.strerror or type(error).__name__)
            return
        if self._told:
            log.warning(f"{self._what} can be written again", file=str(self._path), lost=self.lost)
            self._told, self.lost = False, 0

    def _lose(self, reason: str) -> None:
        self.lost += 1
        self.lost_in_all += 1
        if not self._told:
            self._told = True
            log.error(f"{self._what} cannot be written and are lost", file=str(self._path), error=reason)
