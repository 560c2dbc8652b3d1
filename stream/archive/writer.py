"""Writes tasks into the database, in batches of one transaction each, in a separate thread.

While another program locks the database, tasks wait and are written when the lock is released. The queue of tasks is
bounded (LIMIT).
"""

from __future__ import annotations

import queue
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from stream.archive.store import Store
from stream.base.log import log

LIMIT: Final = 10_000
_BATCH: Final = 256
_LOCKED_PAUSE: Final = 0.2
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

Task = Callable[[Store], Callable[[], None] | None]  # writes; returns what to do once it is committed
Refused = Callable[[], None]  # what to do if a task cannot be written
Line = queue.Queue["tuple[Task, Refused | None] | None"]


class Between(Protocol):
    """Called by the writer's thread between two batches. `refused`: the database refuses to write."""

    def __call__(self, *, refused: bool) -> None: ...


class Writer:
    """`put` is thread-safe; `run` needs its own thread."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store = store
        self._line = line
        self._noted: deque[float] = deque()  # when each unwritten task was queued, oldest first
        self._stopping = self._overfull = False
        self._refused = False

    def put(self, task: Task, refused: Refused | None = None) -> None:
        """Queue a task; returns at once. `refused` is called if the queue is full, or the disk refuses to write."""
        self._noted.append(time.monotonic())
        try:
            self._line.put_nowait((task, refused))
        except queue.Full:
            self._noted.pop()
            if not self._overfull:
                self._overfull = True
                log.error("disk does not respond: history is not stored")
            if refused is not None:
                refused()

    @property
    def half_full(self) -> bool:
        return self._line.qsize() > LIMIT // 2

    @property
    def oldest_unwritten(self) -> float:
        """The age in seconds of the oldest task that is not written yet; 0 if there is none."""
        with suppress(IndexError):
            return time.monotonic() - self._noted[0]
        return 0.0

    def stop(self) -> None:
        """Make `run` return once everything queued before is written; gives up if the queue is full because a disk
        hangs.
        """
        self._stopping = True
        with suppress(queue.Full):
            self._line.put_nowait(None)

    def run(self, between: Between) -> None:
        """Write until stopped."""
        while True:
            try:
                between(refused=self._refused)
            except sqlite3.Error as error:
                self._complain(error)
            if not self._write_next():
                return

    def _write_next(self) -> bool:
        try:
            batch = [self._line.get(timeout=1.0)]
        except queue.Empty:
            return not self._stopping  # the queue was too full for the stop signal
        while batch[-1] is not None and len(batch) < _BATCH and not self._line.empty():
            batch.append(self._line.get_nowait())
        tasks = [task for task in batch if task is not None]
        self._write(tasks)
        for _ in tasks:
            self._noted.popleft()
        return batch[-1] is not None

    def _write(self, tasks: list[tuple[Task, Refused | None]]) -> None:
        while True:
            try:
                with self._store.transaction():
                    after = [task(self._store) for task, _ in tasks]
            except sqlite3.Error as error:
                self._complain(error)
                if not _locked(error):
                    after = [self._write_alone(task, refused) for task, refused in tasks]
                    break
                if self._stopping:
                    log.error("database stayed locked: history lost", tasks=len(tasks))
                    return
                time.sleep(_LOCKED_PAUSE)  # the herald publishes what is due meanwhile
            else:
                if self._refused and tasks:
                    self._refused = False
                    log.warning("database can be written again")
                break
        for then in after:
            if then is not None:
                then()

    def _write_alone(self, task: Task, refused: Refused | None) -> Callable[[], None] | None:
        try:
            with self._store.transaction():
                return task(self._store)
        except sqlite3.Error:
            return refused

    def _complain(self, error: sqlite3.Error) -> None:
        if not self._refused:
            self._refused = True
            log.error("database cannot be written: publishing alarms from memory", error=str(error))


def _locked(error: sqlite3.Error) -> bool:
    """Another program holds the lock, so the write can be retried."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED
