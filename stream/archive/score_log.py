"""Compact storage of scores: about a minute of one camera is one compressed chunk, later an hour. Pure.

A chunk is zlib over four columns: starts (milliseconds, as differences), durations (milliseconds), scores (16 bit) and
window lengths, whose two high bits say whether a clip is the first of a connection. Chunks from before November 2026
lack these bits; there, the first of several clips with a window of 1 counts as the first of a connection.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHUNK_SPAN: Final = 60.0
LONGEST_CHUNK: Final = 3_600.0 + 2 * CHUNK_SPAN  # seconds, once those of an hour are merged
MOST_IN_CHUNK: Final = 50_000
_HEADER: Final = struct.Struct("<Hd")
_SCALE: Final = 65_535
_WINDOW: Final = 0x3F  # of the window's byte
_CONNECTS: Final = 0x80
_STORED: Final = 0x40  # whether `_CONNECTS` is stored
_NO_OVERLAP: Final = 0.75  # clips that follow each other may overlap a little, because frames jitter
_TOGETHER: Final = 60_000  # number of clips decoded at once: what fits in the processor's cache


@dataclass(frozen=True)
class LoggedScore:
    """One clip: epoch seconds, score in [0, 1], number of clips in its window, whether it begins a connection.

    Enabling a camera again begins a connection, too, because the clip does not follow another one.
    """

    start: float
    end: float
    score: float
    window: int
    connects: bool = False


def pack(scores: Sequence[LoggedScore]) -> bytes:
    """A chunk of 1 to 65,535 scores in order of time. Times keep 1 ms, scores 1/65,535."""
    first = scores[0].start
    starts = np.rint([(s.start - first) * 1000 for s in scores]).astype(np.int64)
    steps = np.diff(starts, prepend=0).astype("<i4")
    spans = np.clip(np.rint([(s.end - s.start) * 1000 for s in scores]), 0, 65_535).astype("<u2")
    values = np.rint(np.clip([s.score for s in scores], 0, 1) * _SCALE).astype("<u2")
    windows = np.array([s.window | _STORED | (_CONNECTS if s.connects else 0) for s in scores], np.uint8)
    # bytes of the same significance side by side: the high ones hardly change
    columns = b"".join(column.view(np.uint8).reshape(len(scores), -1).T.tobytes() for column in (steps, spans, values))
    return _HEADER.pack(len(scores), first) + zlib.compress(columns + windows.tobytes(), 9)


def legible(chunk: bytes) -> list[LoggedScore]:
    """The scores of a chunk; none of a damaged one, so that only its own time is lost."""
    try:
        return unpack(chunk)
    except ValueError:
        return []


def _inflated(data: bytes) -> bytes:
    """Decompressed, but never more than a chunk can hold."""
    reader = zlib.decompressobj()
    inflated = reader.decompress(data, 9 * 65_535 + 1)
    if not reader.eof:
        raise zlib.error("truncated or too large")
    return inflated


def unpack(chunk: bytes) -> list[LoggedScore]:
    """The scores of a chunk. Raises ValueError for bytes that are none."""
    try:
        count, first = _HEADER.unpack_from(chunk)
        columns = np.frombuffer(_inflated(chunk[_HEADER.size :]), np.uint8)
        steps, spans, values, windows = np.split(columns, np.cumsum([4, 2, 2])[:3] * count)
    except (struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"not a chunk of scores: {error}") from None
    if len(windows) != count:
        raise ValueError("not a chunk of scores: truncated")

    def column(raw: np.ndarray, kind: str) -> np.ndarray:
        return np.ascontiguousarray(raw.reshape(-1, count).T).view(kind).ravel()

    starts = np.cumsum(column(steps, "<i4").astype(np.int64)) / 1000 + first
    ends = starts + column(spans, "<u2") / 1000
    scores = column(values, "<u2") / _SCALE
    connects = _connects(windows)
    rows = zip(
        starts.tolist(), ends.tolist(), scores.tolist(), (windows & _WINDOW).tolist(), connects.tolist(), strict=True
    )
    return [LoggedScore(*row) for row in rows]


def _connects(windows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which clips begin a connection, from the bytes of their windows."""
    one = (windows & _WINDOW) == 1
    after_one = np.concatenate([[False], one[:-1]])
    return np.where(windows & _STORED, (windows & _CONNECTS) != 0, one & ~after_one)


@dataclass(frozen=True)
class ScoreColumns:
    """Scores of many clips of one camera as arrays of the same length, in the order of their chunks.

    `starts` in epoch seconds, `spans` in milliseconds, `values` in 1/65,535, `windows` in clips; `connects`: which
    clips begin a connection.
    """

    starts: NDArray[np.float64]
    spans: NDArray[np.uint16]
    values: NDArray[np.uint16]
    windows: NDArray[np.uint8]
    connects: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def scores(self) -> NDArray[np.float64]:
        """In [0, 1]."""
        return np.asarray(self.values / _SCALE)

    @cached_property
    def lasting(self) -> NDArray[np.float64]:
        """The seconds that each clip adds: what two overlapping clips share counts once."""
        found = self.spans / 1000
        steps, spans = np.diff(self.starts), found[:-1]
        overlaps = (steps > 0) & (steps < _NO_OVERLAP * spans)
        np.copyto(spans, steps, where=overlaps)
        return found

    @cached_property
    def set_back(self) -> NDArray[np.intp]:
        """The clips before which the clock was set back."""
        return np.flatnonzero(np.diff(self.starts) < 0) + 1

    def row(self, index: int) -> LoggedScore:
        """One clip."""
        start = float(self.starts[index])
        span, value = int(self.spans[index]) / 1000, int(self.values[index]) / _SCALE
        return LoggedScore(start, start + span, value, int(self.windows[index]), bool(self.connects[index]))

    def at_least(self, score: float) -> NDArray[np.intp]:
        """Which clips score that much or more."""
        lowest = min(_SCALE, max(0, int(score * _SCALE) - 1))
        while lowest < _SCALE and lowest / _SCALE < score:
            lowest += 1
        return np.flatnonzero(self.values >= lowest) if lowest / _SCALE >= score else np.empty(0, np.intp)

    def in_order(self) -> ScoreColumns:
        """In order of time, also where a clock was set back."""
        if not len(self.set_back):
            return self
        return self._taken(np.argsort(self.starts, kind="stable"))

    def between(self, since: float, until: float) -> ScoreColumns:
        """The clips that began in that time."""
        return self._chosen((self.starts >= since) & (self.starts < until))

    def armed(self, covered: NDArray[np.bool_]) -> ScoreColumns:
        """The clips that are `covered` by a schedule; after a gap, the next one counts as the first of a connection.

        The live alarm rule does the same: an open alarm ends when the schedule does.
        """
        found = self._chosen(covered)
        if found is not self:
            found.connects[1:] |= np.diff(np.flatnonzero(covered)) > 1
        return found

    def _chosen(self, chosen: NDArray[np.bool_]) -> ScoreColumns:
        if chosen.all():
            return self
        return self._taken(chosen)

    def _taken(self, which: NDArray[Any]) -> ScoreColumns:
        return ScoreColumns(*(getattr(self, column.name)[which] for column in fields(self)))


def columns(chunks: Iterable[bytes]) -> ScoreColumns:
    """The scores of many chunks at once; chunks of the same length are decoded together, which is much faster.

    A damaged chunk is skipped: only its own time is lost.
    """
    by_length: dict[int, list[tuple[int, float, bytes]]] = {}
    total = 0
    for chunk in chunks:
        try:
            count, first = _HEADER.unpack_from(chunk)
            raw = _inflated(chunk[_HEADER.size :])
        except (struct.error, zlib.error):
            continue
        if not count or len(raw) != 9 * count:
            continue
        by_length.setdefault(count, []).append((total, first, raw))
        total += count
    found = ScoreColumns(
        np.empty(total), np.empty(total, np.uint16), np.empty(total, np.uint16), np.empty(total, np.uint8),
        np.empty(total, np.bool_),
    )  # fmt: skip
    parts = [
        (count, group[first : first + each])
        for count, group in by_length.items()
        for each in [max(1, _TOGETHER // count)]
        for first in range(0, len(group), each)
    ]
    for count, part in parts:
        begins, firsts, raws = zip(*part, strict=True)
        planes = np.frombuffer(b"".join(raws), np.uint8).reshape(len(part), 9, count)
        # if all chunks have one length, they are in order: no scattering
        alone = slice(begins[0], begins[0] + len(part) * count)
        where: Any = alone if len(by_length) == 1 else np.array(begins)[:, None] + np.arange(count)
        shape = (len(part) * count,) if len(by_length) == 1 else (len(part), count)
        starts = np.cumsum(_joined(planes[:, 0:4], "<i4"), axis=1, dtype=np.int64) / 1000 + np.array(firsts)[:, None]
        found.starts[where] = starts.reshape(shape)
        found.spans[where] = _joined(planes[:, 4:6], "<u2").reshape(shape)
        found.values[where] = _joined(planes[:, 6:8], "<u2").reshape(shape)
        found.windows[where] = planes[:, 8].reshape(shape)
    found.connects[:] = _connects(found.windows)
    found.windows[:] &= _WINDOW
    return found


def _joined(planes: NDArray[np.uint8], kind: str) -> NDArray[Any]:
    """Byte planes (chunks, bytes, clips), low byte first, as numbers (chunks, clips)."""
    number = planes[:, 0].astype(kind)
    for index in range(1, planes.shape[1]):
        number |= planes[:, index].astype(kind) << (8 * index)
    return number


class ScoreBook:
    """Scores of one camera that are collected into chunks."""

    def __init__(self) -> None:
        self._scores: list[LoggedScore] = []

    def add(self, score: LoggedScore) -> bytes | None:
        """Add the next score; returns a chunk when about a minute is complete, or the clock has jumped."""
        leapt = bool(self._scores) and not 0 <= score.start - self._scores[-1].start <= CHUNK_SPAN
        chunk = self.flush() if leapt else None
        self._scores.append(score)
        return self.flush() if chunk is None and score.end - self._scores[0].start >= CHUNK_SPAN else chunk

    def flush(self) -> bytes | None:
        """The incomplete chunk, if it is not empty."""
        scores, self._scores = self._scores, []
        return pack(scores) if scores else None


def chunk_start(chunk: bytes) -> float:
    """Epoch seconds of a chunk's first clip."""
    return float(_HEADER.unpack_from(chunk)[1])
