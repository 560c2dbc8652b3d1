"""`--scores` and `--events`: one JSON object a line. A full disk costs lines, never an alarm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.base.errors import UsageError
from stream.base.log import log


class ScoresFile:
    """Appends score lines. Lines that cannot be written are counted; it is said once until writing works again."""

    def __init__(self, path: Path, flag: str = "--scores") -> None:
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise UsageError(f"{flag} {path}: cannot be written: {error.strerror}") from None
        self._path = path
        self._what = flag.removeprefix("--")
        self._torn = False
        self.lost = 0

    def write(
        self, camera: str, clip: int, start: float, end: float, score: float, raw: float, threshold: float, window: int
    ) -> None:
        """One line as in the contract, section 2; times in seconds, `score`, `raw` and `threshold` in [0, 1]."""
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
        """One line of JSON."""
        line = json.dumps(content)
        # a line cut short by a full disk must not swallow the next one
        data = ("\n" if self._torn else "").encode() + line.encode() + b"\n"
        try:
            self._torn = self._file.write(data) != len(data)
            if self._torn:
                raise OSError(28, "disk full")
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                log.error(f"{self._what} are being lost", file=str(self._path), error=error.strerror)
        else:
            if self.lost:
                log.warning(f"{self._what} are written again", file=str(self._path), lost=self.lost)
                self.lost = 0

    def close(self) -> None:
        self._file.close()
