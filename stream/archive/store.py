"""The data folder: one SQLite database of events, verdicts, scores, settings and the outbox, and a folder of media.

One process at a time (a lock file). WAL with synchronous=NORMAL: what was committed survives a kill of the program;
a power cut may take the last moments. A database of a newer version is refused, a corrupt one set aside.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.archive.database import DATABASE, MEDIA, check_version, in_memory, lock_folder, opened_or_made_room
from stream.archive.retention import Retention
from stream.archive.score_log import LONGEST_CHUNK, MOST_IN_CHUNK, ScoreColumns, chunk_start, columns, legible, pack
from stream.base.errors import UsageError

_BUSY: Final = 10.0
_COLUMNS: Final = ("id", "camera", "label", "test", "start_time", "end_time", "end_reason", "top_score")


def _read(payload: str) -> EventMessage:
    return EventMessage.from_stored(json.loads(payload))


class Store:
    """The open data folder; a context manager. Used by one thread at a time; errors are sqlite3's."""

    def __init__(self, database: sqlite3.Connection, folder: Path, lock: int | None) -> None:
        self._database = database
        self._lock = lock
        self.media = folder / MEDIA

    @classmethod
    def open(cls, folder: Path, retention: Retention | None = None) -> Self:
        """Open or create. Raises UsageError if another process has it, it is newer, or it cannot be written.

        On a full disk old media makes room as `retention` says; where there is none, everything stays in memory.
        """
        try:
            (folder / MEDIA).mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(f"--data {folder}: cannot be written: {error.strerror}") from None
        try:
            lock_folder(lock, folder)
            return cls(opened_or_made_room(folder, retention or Retention()), folder, lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def in_memory(cls, folder: Path) -> Self:
        """For a replay, which keeps nothing; `folder` is not touched."""
        return cls(in_memory(), folder, None)

    @classmethod
    def read_only(cls, folder: Path) -> Self:
        """For looking back, also while mgfn-stream runs. Raises UsageError if there is nothing or it is newer."""
        path = folder / DATABASE
        try:
            there = path.is_file()
        except OSError as error:  # another user's, most likely
            raise UsageError(f"--data {folder}: cannot be read: {error.strerror}") from None
        if not there:
            raise UsageError(f"--data {folder}: holds no {DATABASE}; mgfn-stream makes it")
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            check_version(database, path)
        except sqlite3.Error as error:
            database.close()
            raise UsageError(f"{path}: not readable as a database: {error}") from None
        return cls(database, folder, None)

    @classmethod
    def beside(cls, folder: Path) -> Self:
        """For changing a setting from another process, also while mgfn-stream runs: it hears of it within seconds.

        Raises UsageError as `read_only` does.
        """
        cls.read_only(folder).close()
        database = sqlite3.connect(folder / DATABASE, isolation_level=None, timeout=_BUSY)
        return cls(database, folder, None)

    def changes_of_others(self) -> int:
        """A number that changes whenever another process has written."""
        return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def persistent(self) -> bool:
        """Whether this process owns the folder; false for a replay and for looking back."""
        return self._lock is not None

    def close(self) -> None:
        self._database.close()
        if self._lock is not None:
            os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # a full disk has already rolled back
                self._database.execute("ROLLBACK")
            raise

    # events and outbox

    def message(self, payload: EventMessage, made: float, *, awaits_files: bool) -> int:
        """Keep a message of an event and put it into the outbox; returns its key there."""
        stored = payload.as_stored()
        text = json.dumps(stored)
        files = "closed" if payload.type == "media" else "awaited" if awaits_files else "none"
        row = {name: stored[name] for name in _COLUMNS} | {"payload": text, "files": files}
        self._database.execute(
            """INSERT INTO events (id, camera, label, test, start_time, end_time, end_reason, top_score, payload, files)
               VALUES (:id, :camera, :label, :test, :start_time, :end_time, :end_reason, :top_score, :payload, :files)
               ON CONFLICT (id) DO UPDATE SET end_time = :end_time, end_reason = :end_reason, top_score = :top_score,
                   payload = :payload, files = CASE :files WHEN 'none' THEN files ELSE :files END""",
            row,
        )
        return self._database.execute(
            "INSERT INTO outbox (made, payload) VALUES (?, ?) RETURNING key", (made, text)
        ).fetchone()[0]

    def delivered(self, key: int, said: EventMessage | None = None) -> None:
        """The broker has it, as it was `said` (None: it was given up)."""
        self._database.execute("DELETE FROM outbox WHERE key = ?", (key,))
        if said is not None:  # times of its leaving alone: what it counts from stays, for the messages to come
            self._database.execute(
                """UPDATE events SET payload = json_set(payload, '$.published_time', ?, '$.delayed', json(?))
                   WHERE id = ? AND json_extract(payload, '$.seq') = ?""",
                (said.published_time, json.dumps(said.delayed), said.id, said.seq),
            )

    def waiting(self) -> list[Waiting]:
        """The outbox, oldest first."""
        rows = self._database.execute("SELECT payload, made, key FROM outbox ORDER BY key")
        return [Waiting(_read(payload), made, key) for payload, made, key in rows]

    def unfinished(self) -> list[tuple[EventMessage, bool]]:
        """The last message of each event without `end`, or whose files are awaited; and whether they are."""
        rows = self._database.execute(
            "SELECT payload, files FROM events WHERE end_time IS NULL OR files = 'awaited' ORDER BY start_time"
        )
        return [(_read(payload), files == "awaited") for payload, files in rows]

    def events(self, since: float) -> list[dict[str, Any]]:
        """Events that began at epoch time `since` or later, oldest first: last message and what is known beside it."""
        return self._events("start_time >= ?", (since,), "ORDER BY start_time")

    def _events(self, where: str, values: tuple[object, ...], order: str) -> list[dict[str, Any]]:
        rows = self._database.execute(
            f"""SELECT payload, verdict,
                      coalesce((SELECT bytes FROM files WHERE event = id AND kind = 'snapshot'), 0),
                      coalesce((SELECT bytes FROM files WHERE event = id AND kind = 'clip'), 0)
               FROM events WHERE {where} {order}""",  # noqa: S608 -- ours
            values,
        )
        return [
            _read(payload).as_json() | {"verdict": verdict, "snapshot_bytes": snapshot, "clip_bytes": clip}
            for payload, verdict, snapshot, clip in rows
        ]

    def event(self, event_id: str) -> dict[str, Any] | None:
        """One event, as in `events`."""
        found = self._events("id = ?", (event_id,), "")
        return found[0] if found else None

    def latest_events(self, camera: str | None, before: float, limit: int) -> list[dict[str, Any]]:
        """At most `limit` events that began before that epoch time, newest first, as in `events`."""
        return self._events(
            "start_time < ? AND (? IS NULL OR camera = ?)",
            (before, camera, camera, limit),
            "ORDER BY start_time DESC LIMIT ?",
        )

    def verdicts(self, camera: str, verdict: str, since: float) -> list[tuple[float, float]]:
        """When the alarms of a camera with that verdict began and ended, oldest first."""
        rows = self._database.execute(
            """SELECT start_time, coalesce(end_time, start_time) FROM events
               WHERE camera = ? AND verdict = ? AND start_time >= ? AND label = 'anomaly' AND NOT test
               ORDER BY start_time""",
            (camera, verdict, since),
        )
        return rows.fetchall()

    def alarm_times(self, camera: str, since: float) -> list[float]:
        """When the alarms of a camera began, oldest first; no tests."""
        rows = self._database.execute(
            """SELECT start_time FROM events
               WHERE camera = ? AND start_time >= ? AND label = 'anomaly' AND NOT test ORDER BY start_time""",
            (camera, since),
        )
        return [start for (start,) in rows]

    def verdict(self, camera: str, event_id: str, verdict: str | None) -> str | None:
        """Keep an operator's verdict, None: take it back; `event_id` "latest" is the camera's last alarm.

        Returns the event's id, None: unknown.
        """
        if event_id == "latest":
            chosen = """(SELECT id FROM events WHERE camera = ?2 AND label = 'anomaly' AND NOT test
                         ORDER BY start_time DESC LIMIT 1)"""
        else:
            chosen = "?3"
        row = self._database.execute(
            f"UPDATE events SET verdict = ?1 WHERE camera = ?2 AND id = {chosen} RETURNING id",  # noqa: S608 -- ours
            (verdict, camera) if event_id == "latest" else (verdict, camera, event_id),
        ).fetchone()
        return None if row is None else str(row[0])

    def file_kept(self, event_id: str, kind: str, size: int) -> None:
        """A picture or clip of `size` bytes is on disk; 0: no longer."""
        if size:
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (event_id, kind, size))
        else:
            self._database.execute("DELETE FROM files WHERE event = ? AND kind = ?", (event_id, kind))

    def latest_snapshot(self, camera: str) -> str | None:
        """Id of the camera's newest event that has a picture."""
        row = self._database.execute(
            """SELECT id FROM events JOIN files ON event = id AND kind = 'snapshot'
               WHERE camera = ? ORDER BY start_time DESC LIMIT 1""",
            (camera,),
        ).fetchone()
        return None if row is None else str(row[0])

    # scores

    def scored(self, camera: str, chunk: bytes) -> None:
        """Keep a chunk of scores."""
        self._database.execute("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", (chunk_start(chunk), camera, chunk))

    def score_columns(self, camera: str, since: float, until: float) -> ScoreColumns:
        """Scores of clips that began in that time (epoch seconds): a week of a camera in a tenth of a second."""
        rows = self._database.execute(
            "SELECT chunk FROM scores WHERE camera = ? AND start >= ? AND start < ? ORDER BY start",
            (camera, since - LONGEST_CHUNK, until),
        )
        return columns(chunk for (chunk,) in rows).between(since, until)

    def merge_scores(self, before: float, at_most: int) -> int:
        """Make one chunk of the many of an hour, of hours that end before that epoch time; how many hours were merged.

        A quarter of the rows' room and of the time that reading weeks takes. At most `at_most` hours at once.
        """
        hours = self._database.execute(
            """SELECT camera, CAST(start / 3600 AS INTEGER) AS hour FROM scores
               WHERE start < ? GROUP BY camera, hour HAVING count(*) > 1 LIMIT ?""",
            (before - before % 3600, at_most),
        ).fetchall()
        for camera, hour in hours:
            span = (camera, hour * 3600, (hour + 1) * 3600)
            chunks = "FROM scores WHERE camera = ? AND start >= ? AND start < ?"
            rows = self._database.execute(f"SELECT chunk {chunks} ORDER BY start", span).fetchall()
            whole = [score for (chunk,) in rows for score in legible(chunk)]
            self._database.execute(f"DELETE {chunks}", span)
            for first in range(0, len(whole), MOST_IN_CHUNK):
                self.scored(camera, pack(whole[first : first + MOST_IN_CHUNK]))
        return len(hours)

    def scored_cameras(self) -> list[str]:
        """Cameras of which there are scores, by name."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT camera FROM scores ORDER BY camera")]

    def forget(self, scores_before: float, events_before: float) -> None:
        """Delete what is older (epoch seconds)."""
        self._database.execute("DELETE FROM scores WHERE start < ?", (scores_before,))
        self._database.execute("DELETE FROM events WHERE start_time < ? AND end_time IS NOT NULL", (events_before,))

    # settings and retained topics

    def setting(self, camera: str, name: str, value: str | None) -> None:
        """Keep a setting over restarts; None: no longer."""
        if value is None:
            self._database.execute("DELETE FROM settings WHERE camera = ? AND name = ?", (camera, name))
        else:
            self._database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (camera, name, value))

    def settings(self) -> dict[str, dict[str, str]]:
        """What was set, by camera."""
        found: dict[str, dict[str, str]] = {}
        for camera, name, value in self._database.execute("SELECT camera, name, value FROM settings"):
            found.setdefault(camera, {})[name] = value
        return found

    def retained(self, topic: str, *, kept: bool) -> None:
        """The broker keeps a message of ours under `topic`, or no longer."""
        verb = "INSERT OR IGNORE INTO retained VALUES (?)" if kept else "DELETE FROM retained WHERE topic = ?"
        self._database.execute(verb, (topic,))

    def retained_topics(self) -> Sequence[str]:
        return [topic for (topic,) in self._database.execute("SELECT topic FROM retained")]
