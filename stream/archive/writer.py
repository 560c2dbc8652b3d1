"""Writes tasks into the database, in batches of one transaction each, in a thread of its own.

While another program locks the database, tasks wait and are written when the lock is gone. The line of tasks is
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
Refused = Callable[[], None]  # what to do when a task cannot be written
Line = queue.Queue["tuple[Task, Refused | None] | None"]


class Between(Protocol):
    """What the writer's thread looks after between two batches. `refused`: the database refuses to be written."""

    def __call__(self, *, refused: bool) -> None: ...


class Writer:
    """`put` from any thread; `run` in a thread of its own."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store = store
        self._line = line
        self._noted: deque[float] = deque()  # when each unwritten task was noted, oldest first
        self._stopping = self._overfull = False
        self._refused = False

    def put(self, task: Task, refused: Refused | None = None) -> None:
        """Note a task; returns at once. `refused` is called if it does not fit any more, or the disk refuses it."""
        self._noted.append(time.monotonic())
        try:
            self._line.put_nowait((task, refused))
        except queue.Full:
            self._noted.pop()
            if not self._overfull:
                self._overfull = True
                log.error("the disk does not answer: history is being lost")
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
        """`run` returns once all before this is written; a line that is full, of a disk that hangs, is left."""
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
            return not self._stopping  # the line was too full for the sign to stop
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
                    log.error("the database stayed locked: history is lost", tasks=len(tasks))
                    return
                time.sleep(_LOCKED_PAUSE)  # the herald says what is due meanwhile
            else:
                if self._refused and tasks:
                    self._refused = False
                    log.warning("writing the database again")
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
            log.error("the database cannot be written: publishing alarms from memory", error=str(error))


def _locked(error: sqlite3.Error) -> bool:
    """Another program holds the lock: what is refused now can be written later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED
