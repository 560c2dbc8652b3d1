"""The database file of the data folder: created, opened, refused, or renamed if corrupt. The store uses it."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from stream.alarm.wall import UNSET_BEFORE
from stream.archive.media import evict
from stream.archive.retention import Retention
from stream.base.errors import UsageError
from stream.base.log import log

VERSION: Final = 2
DATABASE: Final = "events.db"
MEDIA: Final = "media"
_CACHE: Final = 256  # KiB; what is written lies on few pages, and SQLite would fill 2 MB with others within hours
_FULL: Final = 2**20  # bytes: with less free space, SQLite cannot open its log

_SCHEMA: Final = """
CREATE TABLE events (
    id TEXT PRIMARY KEY, camera TEXT NOT NULL, label TEXT NOT NULL, test INTEGER NOT NULL,
    start_time REAL NOT NULL, end_time REAL, end_reason TEXT, top_score REAL NOT NULL,
    verdict TEXT,
    files TEXT NOT NULL,   -- none, awaited, closed
    payload TEXT NOT NULL, -- the last message
    age_from REAL          -- steady time, see stream.archive.clock; the other times are the wall clock's
) WITHOUT ROWID;
CREATE INDEX events_by_time ON events (start_time);
CREATE TABLE files (event TEXT, kind TEXT, bytes INTEGER NOT NULL, PRIMARY KEY (event, kind)) WITHOUT ROWID;
CREATE TABLE outbox (key INTEGER PRIMARY KEY AUTOINCREMENT, made REAL NOT NULL, payload TEXT NOT NULL);
CREATE TABLE scores (
    start REAL, camera TEXT, chunk BLOB NOT NULL, age_from REAL, PRIMARY KEY (start, camera)
) WITHOUT ROWID;
CREATE INDEX scores_by_camera ON scores (camera, start);
CREATE TABLE settings (camera TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (camera, name)) WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_LATER: Final = (  # earlier databases of this version have none
    "CREATE INDEX IF NOT EXISTS scores_by_camera ON scores (camera, start)",
    """CREATE TABLE IF NOT EXISTS audit (
        key INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, via TEXT NOT NULL, camera TEXT NOT NULL,
        what TEXT NOT NULL, value TEXT NOT NULL,
        age_from REAL NOT NULL -- steady time
    )""",
    """CREATE TABLE IF NOT EXISTS canary (
        start REAL, end REAL NOT NULL, camera TEXT, span TEXT NOT NULL, age_from REAL NOT NULL,
        PRIMARY KEY (start, camera)
    ) WITHOUT ROWID""",
)
_CLOCK_TABLES: Final = """
CREATE TABLE clock (only INTEGER PRIMARY KEY, boot TEXT, since_boot REAL, steady REAL, wall REAL);
CREATE TABLE clock_steps (at REAL NOT NULL, seconds REAL NOT NULL);
"""


def _create(database: sqlite3.Connection) -> None:
    database.executescript(f"BEGIN; {_SCHEMA} {_CLOCK_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    add_later_tables(database)


def add_later_tables(database: sqlite3.Connection) -> None:
    """Add what databases of earlier programs lack; those programs ignore it."""
    for statement in _LATER:
        database.execute(statement)


def _upgrade(database: sqlite3.Connection, now: float) -> None:
    """Upgrade from version 1, in which ages are by wall clock, at epoch time `now`.

    What is in the future, or was written before the clock was ever set, counts as new as the newest.
    """
    stamps = [
        stamp for (stamp,) in database.execute("SELECT start_time FROM events UNION ALL SELECT start FROM scores")
    ]
    newest = max((stamp for stamp in stamps if stamp <= now), default=max(stamps, default=now))
    database.execute("BEGIN IMMEDIATE")
    for table, column in (("events", "start_time"), ("scores", "start")):
        odd = f"{column} > :newest OR ({column} < :unset AND :newest >= :unset)"
        database.execute(f"ALTER TABLE {table} ADD COLUMN age_from REAL")
        database.execute(
            f"UPDATE {table} SET age_from = CASE WHEN {odd} THEN :newest ELSE {column} END",  # noqa: S608 -- ours
            {"newest": newest, "unset": UNSET_BEFORE},
        )
    for statement in _CLOCK_TABLES.strip().split(";\n"):
        database.execute(statement)
    database.execute("PRAGMA user_version = 2")
    database.execute("COMMIT")


def check_version(database: sqlite3.Connection, path: Path) -> int:
    """The version of the database; 0 means empty. Raises UsageError for one that is newer than this program."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        database.close()
        raise UsageError(
            f"{path}: version {version} is newer than this program's {VERSION}: "
            "upgrade mgfn-stream or give another --data"
        )
    return version


def in_memory() -> sqlite3.Connection:
    """An empty database that is not stored."""
    database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _create(database)
    return database


def lock_folder(lock: int, folder: Path) -> None:
    """Lock the open lock file of a folder. Raises UsageError if another process holds it or the disk supports no
    locks.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"--data {folder}: in use by another mgfn-stream; use a separate folder for each") from None
    except OSError as error:
        raise UsageError(
            f"--data {folder}: cannot be locked: {error.strerror}; must be a folder on a local disk"
        ) from None


def opened_or_made_room(folder: Path, retention: Retention) -> sqlite3.Connection:
    """The folder's database. If the disk is full, old media is deleted according to `retention`, or the database is in
    memory.

    Raises UsageError for a database that can be neither used nor renamed.
    """
    path = folder / DATABASE
    try:
        return _opened(path)
    except UsageError as error:
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        gone = evict(folder / MEDIA, replace(retention, media_days=inf), 0.0)  # not useful here: their age
        log.error("disk full: deleting old media", problem=str(error), files=len(gone))
    try:
        database = _opened(path)
    except UsageError as error:
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        log.error("publishing alarms from memory until space is freed and the program is restarted", error=str(error))
        return in_memory()
    rows = [(file.event_id, file.kind) for file in gone]
    database.executemany("DELETE FROM files WHERE event = ? AND kind = ?", rows)
    return database


def _opened(path: Path) -> sqlite3.Connection:
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
    log.error("database corrupt: renamed, and a new one created", file=str(aside), error=str(error))


def _try_open(path: Path) -> sqlite3.Connection:
    # opened by the main thread, passed to the writer: never used by two at a time
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        version = check_version(database, path)
        if version == 0:
            database.execute("PRAGMA journal_mode = WAL")
            _create(database)
        elif (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
        else:
            if version == 1:
                _upgrade(database, time.time())
            add_later_tables(database)
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 8388608")
        database.execute(f"PRAGMA cache_size = -{_CACHE}")
    except BaseException:
        database.close()
        raise
    return database
