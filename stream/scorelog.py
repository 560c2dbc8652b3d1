"""Scores by clip, kept compactly: about a minute of one camera becomes one compressed chunk. Pure.

A chunk is zlib over four columns: starts (milliseconds, as differences), durations (milliseconds), scores (16 bit)
and window lengths. A window length of 1 marks a new connection.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

CHUNK_SPAN: Final = 60.0
_HEADER: Final = struct.Struct("<Hd")
_SCALE: Final = 65_535


@dataclass(frozen=True)
class LoggedScore:
    """One clip: epoch seconds, score in [0, 1], clips that stood in the window."""

    start: float
    end: float
    score: float
    window: int


def pack(scores: Sequence[LoggedScore]) -> bytes:
    """A chunk of 1 to 65,535 scores in order of time. Times keep 1 ms, scores 1/65,535."""
    first = scores[0].start
    starts = np.rint([(s.start - first) * 1000 for s in scores]).astype(np.int64)
    steps = np.diff(starts, prepend=0).astype("<i4")
    spans = np.clip(np.rint([(s.end - s.start) * 1000 for s in scores]), 0, 65_535).astype("<u2")
    values = np.rint(np.clip([s.score for s in scores], 0, 1) * _SCALE).astype("<u2")
    windows = np.array([s.window for s in scores], np.uint8)
    # bytes of one significance side by side: the high ones hardly change
    columns = b"".join(column.view(np.uint8).reshape(len(scores), -1).T.tobytes() for column in (steps, spans, values))
    return _HEADER.pack(len(scores), first) + zlib.compress(columns + windows.tobytes(), 9)


def unpack(chunk: bytes) -> list[LoggedScore]:
    """The scores of a chunk. Raises ValueError for bytes that are none."""
    try:
        count, first = _HEADER.unpack_from(chunk)
        columns = np.frombuffer(zlib.decompress(chunk[_HEADER.size :]), np.uint8)
        steps, spans, values, windows = np.split(columns, np.cumsum([4, 2, 2])[:3] * count)
    except (struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"no chunk of scores: {error}") from None
    if len(windows) != count:
        raise ValueError("no chunk of scores: cut short")

    def column(raw: np.ndarray, kind: str) -> np.ndarray:
        return np.ascontiguousarray(raw.reshape(-1, count).T).view(kind).ravel()

    starts = np.cumsum(column(steps, "<i4").astype(np.int64)) / 1000 + first
    ends = starts + column(spans, "<u2") / 1000
    scores = column(values, "<u2") / _SCALE
    rows = zip(starts.tolist(), ends.tolist(), scores.tolist(), windows.tolist(), strict=True)
    return [LoggedScore(*row) for row in rows]


class ScoreBook:
    """Scores of one camera on their way into chunks."""

    def __init__(self) -> None:
        self._scores: list[LoggedScore] = []

    def add(self, score: LoggedScore) -> bytes | None:
        """Take the next score; returns a chunk when about a minute is together."""
        self._scores.append(score)
        return self.flush() if score.end - self._scores[0].start >= CHUNK_SPAN else None

    def flush(self) -> bytes | None:
        """The chunk so far, if it holds anything."""
        scores, self._scores = self._scores, []
        return pack(scores) if scores else None


def chunk_start(chunk: bytes) -> float:
    """Epoch seconds of a chunk's first clip."""
    return float(_HEADER.unpack_from(chunk)[1])
