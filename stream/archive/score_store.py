"""The scores of all cameras, in chunks of a minute that are later merged into one per hour."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from stream.alarm.wall import UNSET_BEFORE
from stream.archive.score_log import LONGEST_CHUNK, MOST_IN_CHUNK, ScoreColumns, chunk_start, columns, legible, pack


class ScoreStore:
    """Part of the open store: same thread, same transactions, errors of sqlite3."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, camera: str, chunk: bytes, age_from: float | None = None) -> None:
        """Store a chunk of scores, whose age counts from that steady time, or else from its own."""
        start = chunk_start(chunk)
        row = (start, camera, chunk, start if age_from is None else age_from)
        self._database.execute(
            "INSERT OR REPLACE INTO scores (start, camera, chunk, age_from) VALUES (?, ?, ?, ?)", row
        )

    def columns(self, camera: str, since: float, until: float) -> ScoreColumns:
        """Scores of clips that began in that time (epoch seconds): a week of a camera in a tenth of a second."""
        rows = self._database.execute(
            "SELECT chunk FROM scores WHERE camera = ? AND start >= ? AND start < ? ORDER BY start",
            (camera, since - LONGEST_CHUNK, until),
        )
        return columns(chunk for (chunk,) in rows).between(since, until)

    def merge(self, before: float, at_most: int) -> int:
        """Merge the chunks of each hour that ended before that epoch time; returns how many hours were merged.

        Saves three quarters of the rows' space and of the time to read weeks. At most `at_most` hours per call.
        """
        hours = self._database.execute(
            """SELECT camera, CAST(start / 3600 AS INTEGER) AS hour FROM scores
               WHERE start < ? GROUP BY camera, hour HAVING count(*) > 1 LIMIT ?""",
            (before - before % 3600, at_most),
        ).fetchall()
        for camera, hour in hours:
            span = (camera, hour * 3600, (hour + 1) * 3600)
            chunks = "FROM scores WHERE camera = ? AND start >= ? AND start < ?"
            rows = self._database.execute(f"SELECT chunk, age_from {chunks} ORDER BY start", span).fetchall()
            whole = [score for chunk, _ in rows for score in legible(chunk)]
            newest = max(age_from for _, age_from in rows)
            self._database.execute(f"DELETE {chunks}", span)
            for first in range(0, len(whole), MOST_IN_CHUNK):
                self.add(camera, pack(whole[first : first + MOST_IN_CHUNK]), newest)
        return len(hours)

    def erase(self, camera: str, begin: float, end: float, *, dry: bool = False) -> int:
        """Delete the scores of clips that were seen between these epoch times; `dry`: only count. Returns how many."""
        rows = self._database.execute(
            "SELECT start, chunk, age_from FROM scores WHERE camera = ? AND start >= ? AND start < ?",
            (camera, begin - LONGEST_CHUNK, end),
        ).fetchall()
        erased = 0
        for start, chunk, age_from in rows:
            scores = legible(chunk)
            kept = [score for score in scores if score.end <= begin or score.start >= end]
            if len(kept) == len(scores) and (scores or start < begin):
                continue
            erased += len(scores) - len(kept)
            if dry:
                continue
            self._database.execute("DELETE FROM scores WHERE start = ? AND camera = ?", (start, camera))
            for part in ([s for s in kept if s.end <= begin], [s for s in kept if s.start >= end]):
                if part:
                    self.add(camera, pack(part), age_from)
        return erased

    def cameras(self) -> list[str]:
        """Cameras of which there are scores, by name."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT camera FROM scores ORDER BY camera")]

    def newest(self) -> list[float]:
        """The steady time from which the newest chunk's age counts, if there is one."""
        rows = self._database.execute("SELECT max(age_from) FROM scores")
        return [newest for (newest,) in rows if newest is not None]

    def forget(self, before: float, own: Mapping[str, float]) -> None:
        """Delete chunks whose age counts from before that steady time, for some cameras their `own` one."""
        for camera, until in own.items():
            self._database.execute("DELETE FROM scores WHERE camera = ? AND age_from < ?", (camera, until))
        others = f"camera NOT IN ({','.join('?' * len(own))})"
        self._database.execute(f"DELETE FROM scores WHERE age_from < ? AND {others}", (before, *own))  # noqa: S608 -- ours

    def correct(self, shift: float) -> None:
        """Move scores that were stored before the wall clock was ever set; it is now `shift` ahead of steady time."""
        rows = self._database.execute(
            "SELECT start, camera, chunk, age_from FROM scores WHERE start < ?", (UNSET_BEFORE,)
        ).fetchall()
        for start, camera, chunk, age_from in rows:
            scores = legible(chunk)
            if not scores or start + (by := age_from + shift - scores[-1].end) < UNSET_BEFORE:
                continue
            self._database.execute("DELETE FROM scores WHERE start = ? AND camera = ?", (start, camera))
            moved = [replace(score, start=score.start + by, end=score.end + by) for score in scores]
            self.add(camera, pack(moved), age_from)
