"""The data folder: one SQLite database of events, verdicts, scores, settings and the outbox, and a folder of media.

One process at a time (a lock file). WAL with synchronous=NORMAL: committed data survive a kill of the program; a power
cut may lose the last moments. A database of a newer version is refused; a corrupt one is renamed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from stream.archive.audit_store import AuditStore
from stream.archive.canary_store import CanaryStore
from stream.archive.clock import Clock, ClockStore, KeptClock, continued
from stream.archive.database import (
    DATABASE,
    MEDIA,
    add_later_tables,
    check_version,
    in_memory,
    lock_folder,
    opened_or_made_room,
)
from stream.archive.event_store import EventStore
from stream.archive.media import listed
from stream.archive.retention import Retention
from stream.archive.score_store import ScoreStore
from stream.archive.setting_store import SettingStore
from stream.base.clock import SteadyClock
from stream.base.errors import UsageError
from stream.base.log import log

_BUSY: Final = 10.0


class Store:
    """The open data folder, in parts. Context manager. Used by one thread at a time; errors are those of sqlite3.

    `clock` continues from the last run if the folder is open for writing; any thread may read it.
    """

    def __init__(self, database: sqlite3.Connection, folder: Path, lock: int | None) -> None:
        self._database = database
        self._lock = lock
        self._lock_path = folder / "lock"
        self.media = folder / MEDIA
        self.events = EventStore(database)
        self.scores = ScoreStore(database)
        self.settings = SettingStore(database)
        self.audit = AuditStore(database)
        self.canary = CanaryStore(database)
        self.clocks = ClockStore(database)
        self.clock = Clock(SteadyClock.by_the_wall())

    @classmethod
    def open(cls, folder: Path, retention: Retention | None = None) -> Self:
        """Open or create. Raises UsageError if another process uses it, it is newer, or it cannot be written.

        If the disk is full, old media is deleted according to `retention`; if there is none, everything stays in
        memory.
        """
        try:
            (folder / MEDIA).mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(f"--data {folder}: cannot be written: {error.strerror}") from None
        try:
            lock_folder(lock, folder)
            store = cls(opened_or_made_room(folder, retention or Retention()), folder, lock)
            try:
                store._continue_clock()
            except (sqlite3.Error, OSError) as error:
                log.error("cannot read when the service last ran", error=str(error))
            return store
        except BaseException:
            os.close(lock)
            raise

    @classmethod
    def in_memory(cls, folder: Path) -> Self:
        """For a replay, which stores nothing; `folder` is not touched."""
        return cls(in_memory(), folder, None)

    @classmethod
    def read_only(cls, folder: Path) -> Self:
        """For looking back; mgfn-stream may be running. Raises UsageError if there is nothing, or it is newer."""
        path = folder / DATABASE
        try:
            there = path.is_file()
        except OSError as error:  # probably another user's
            raise UsageError(f"--data {folder}: cannot be read: {error.strerror}") from None
        if not there:
            raise UsageError(f"--data {folder}: holds no {DATABASE}; start mgfn-stream to create it")
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        try:
            check_version(database, path)
        except sqlite3.Error as error:
            database.close()
            raise UsageError(f"{path}: not readable as a database: {error}") from None
        return cls(database, folder, None)

    @classmethod
    def beside(cls, folder: Path) -> Self:
        """For changing a setting from another process; if mgfn-stream is running, it applies it within seconds.

        Raises the same UsageError as `read_only`.
        """
        cls.read_only(folder).close()
        database = sqlite3.connect(folder / DATABASE, isolation_level=None, timeout=_BUSY)
        database.execute("PRAGMA secure_delete = ON")  # what is erased must not stay in free pages
        add_later_tables(database)
        return cls(database, folder, None)

    def _continue_clock(self) -> None:
        """Continue from the last run; without one, the age of the content is counted from its newest entry."""
        if (kept := self.clocks.kept()) is not None:
            self.clock, step = continued(kept)
            if step:
                log.warning("the wall clock was set, or the machine was off for days", seconds=round(step, 1))
                with self.transaction():
                    self.clock_set(step)
            return
        stamps = [file.written for file in listed(self.media)] + self.events.newest() + self.scores.newest()
        if stamps:
            now = time.time()
            newest = max((stamp for stamp in stamps if stamp <= now), default=max(stamps))
            self.clock, _ = continued(KeptClock("", 0.0, newest, newest))

    def clock_set(self, seconds: float) -> None:
        """The wall clock was set: record it, and correct what is not published yet. Ages do not change."""
        self.clocks.note_step(self.clock.now(), seconds)
        self.events.correct(self.clock.mark)
        self.scores.correct(self.clock.mark.shift)
        self.clocks.keep(self.clock)

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
    def removed(self) -> bool:
        """Whether the folder was removed or replaced; SQLite goes on writing to a file that nobody can open."""
        if self._lock is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._lock), self._lock_path.stat())
        except OSError as error:
            return isinstance(error, FileNotFoundError)

    @property
    def persistent(self) -> bool:
        """Whether this process owns the folder; false for a replay and for looking back."""
        return self._lock is not None

    def in_use(self) -> bool:
        """Whether mgfn-stream is running on this folder."""
        try:
            with self._lock_path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

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

    def forget_deleted_content(self) -> None:
        """Overwrite what was deleted in the database's files, as far as no other process is reading them."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def holds(self, camera: str) -> bool:
        """Whether scores or events of the camera are stored."""
        return camera in self.scores.cameras() or bool(self.events.older(camera, float("inf"), 1))

    def forget(
        self, scores_before: float, events_before: float, own_scores: Mapping[str, float], own_events: Sequence[str]
    ) -> None:
        """Delete what is older (steady time). The scores of some cameras have their own time, and the events of others
        are left.
        """
        self.scores.forget(scores_before, own_scores)
        self.canary.forget(scores_before, own_scores)
        self.events.forget(events_before, own_events)
        self.audit.forget(events_before)
