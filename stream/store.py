"""The data folder: one SQLite database of events, verdicts, scores, settings and the outbox, and a folder of media.

One process at a time (a lock file). WAL with synchronous=NORMAL: what was committed survives a kill of the program;
a power cut may take the last moments. A database of a newer version is refused, a corrupt one set aside.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from stream.errors import UsageError
from stream.events import Payload, as_left
from stream.log import log
from stream.media import evict
from stream.outbox import Waiting
from stream.scorelog import LONGEST_CHUNK, MOST_IN_CHUNK, ScoreColumns, chunk_start, columns, legible, pack
from stream.settings import Retention

VERSION: Final = 1
DATABASE: Final = "events.db"
MEDIA: Final = "media"
_BUSY: Final = 10.0
_FULL: Final = 2**20  # bytes: with less of the disk free, SQLite cannot even open its log

_SCHEMA: Final = """
CREATE TABLE events (
    id TEXT PRIMARY KEY, camera TEXT NOT NULL, label TEXT NOT NULL, test INTEGER NOT NULL,
    start_time REAL NOT NULL, end_time REAL, end_reason TEXT, top_score REAL NOT NULL,
    verdict TEXT,
    files TEXT NOT NULL,   -- none, awaited, closed
    payload TEXT NOT NULL  -- the last message
) WITHOUT ROWID;
CREATE INDEX events_by_time ON events (start_time);
CREATE TABLE files (event TEXT, kind TEXT, bytes INTEGER NOT NULL, PRIMARY KEY (event, kind)) WITHOUT ROWID;
CREATE TABLE outbox (key INTEGER PRIMARY KEY AUTOINCREMENT, made REAL NOT NULL, payload TEXT NOT NULL);
CREATE TABLE scores (start REAL, camera TEXT, chunk BLOB NOT NULL, PRIMARY KEY (start, camera)) WITHOUT ROWID;
CREATE INDEX scores_by_camera ON scores (camera, start);
CREATE TABLE settings (camera TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (camera, name)) WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY) WITHOUT ROWID;
"""


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
            _lock(lock, folder)
            return cls(_opened_or_made_room(folder, retention or Retention()), folder, lock)
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def in_memory(cls, folder: Path) -> Self:
        """For a replay, which keeps nothing; `folder` is not touched."""
        return cls(_in_memory(), folder, None)

    @classmethod
    def read_only(cls, folder: Path) -> Self:
        """For looking back, also while mgfn-stream runs. Raises UsageError if there is nothing or it is newer."""
        path = folder / DATABASE
        if not path.is_file():
            raise UsageError(f"--data {folder}: holds no {DATABASE}; mgfn-stream makes it")
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            _check_version(database, path)
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
        except BaseException:
            if self._database.in_transaction:  # a full disk has already rolled back
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    # events and outbox

    def message(self, payload: Payload, made: float, *, awaits_files: bool) -> int:
        """Keep a message of an event and put it into the outbox; returns its key there."""
        text = json.dumps(payload)
        kind = payload["type"]
        files = "closed" if kind == "media" else "awaited" if awaits_files else "none"
        row = {name: payload[name] for name in ("id", "camera", "label", "test", "start_time", "end_time")}
        row |= {"end_reason": payload["end_reason"], "top_score": payload["top_score"], "payload": text, "files": files}
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

    def delivered(self, key: int, said: Payload | None = None) -> None:
        """The broker has it, as it was `said` (None: it was given up)."""
        self._database.execute("DELETE FROM outbox WHERE key = ?", (key,))
        if said is not None:  # times of its leaving alone: what it counts from stays, for the messages to come
            self._database.execute(
                """UPDATE events SET payload = json_set(payload, '$.published_time', ?, '$.delayed', json(?))
                   WHERE id = ? AND json_extract(payload, '$.seq') = ?""",
                (said["published_time"], json.dumps(said["delayed"]), said["id"], said["seq"]),
            )

    def waiting(self) -> list[Waiting]:
        """The outbox, oldest first."""
        rows = self._database.execute("SELECT payload, made, key FROM outbox ORDER BY key")
        return [Waiting(json.loads(payload), made, key) for payload, made, key in rows]

    def unfinished(self) -> list[tuple[Payload, bool]]:
        """The last message of each event without `end`, or whose files are awaited; and whether they are."""
        rows = self._database.execute(
            "SELECT payload, files FROM events WHERE end_time IS NULL OR files = 'awaited' ORDER BY start_time"
        )
        return [(json.loads(payload), files == "awaited") for payload, files in rows]

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
            as_left(json.loads(payload)) | {"verdict": verdict, "snapshot_bytes": snapshot, "clip_bytes": clip}
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


def _create(database: sqlite3.Connection) -> None:
    database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def _check_version(database: sqlite3.Connection, path: Path) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        database.close()
        raise UsageError(
            f"{path}: version {version} is newer than this program's {VERSION}: "
            "upgrade mgfn-stream or give another --data"
        )
    return version


def _in_memory() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _create(database)
    return database


def _lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"--data {folder}: another mgfn-stream uses it; give each its own folder") from None
    except OSError as error:
        raise UsageError(
            f"--data {folder}: cannot be locked: {error.strerror}; allowed is a folder on a disk of this machine"
        ) from None


def _opened_or_made_room(folder: Path, retention: Retention) -> sqlite3.Connection:
    path = folder / DATABASE
    try:
        return _opened(path)
    except UsageError as error:
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        gone = evict(folder / MEDIA, retention, time.time())
        log.error("the disk is full: old media makes room", problem=str(error), files=len(gone))
    try:
        database = _opened(path)
    except UsageError as error:
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        log.error("alarms go out from memory until there is room and this is restarted", error=str(error))
        return _in_memory()
    rows = [(file.event_id, file.kind) for file in gone]
    database.executemany("DELETE FROM files WHERE event = ? AND kind = ?", rows)
    return database


def _opened(path: Path) -> sqlite3.Connection:
    """Raises UsageError for a database that can be neither used nor set aside."""
    try:
        try:
            return _try_open(path)
        except sqlite3.DatabaseError as error:
            if not path.is_file() or isinstance(error, sqlite3.OperationalError):
                raise
            _set_aside(path, error)
            return _try_open(path)
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"--data {path.parent}: the database cannot be used: {error}") from None


def _set_aside(path: Path, error: sqlite3.Error) -> None:
    aside = path.with_name(f"{DATABASE}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    log.error("the database is corrupt: set aside, a new one is begun", file=str(aside), error=str(error))


def _try_open(path: Path) -> sqlite3.Connection:
    # opened by the main thread, handed to the writer: never used by two at a time
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if _check_version(database, path) == 0:
            database.execute("PRAGMA journal_mode = WAL")
            _create(database)
        elif (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
        else:  # earlier databases have none
            database.execute("CREATE INDEX IF NOT EXISTS scores_by_camera ON scores (camera, start)")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 8388608")
    except BaseException:
        database.close()
        raise
    return database
