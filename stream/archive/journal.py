"""Writes to the data folder in a separate thread, so that the scoring loop never waits for a disk.

All other methods only queue and return at once. `run`, in a thread created by the service, writes batches in one
transaction each. The `Herald` passes an event message to the MQTT sink when it is committed, when the disk refuses it,
or after 1.5 s, so a full, locked or hanging disk never delays an alarm. While another program locks the database, tasks
wait and are written when the lock is released. The queue is bounded (LIMIT): scores are omitted from half of it on;
messages that no longer fit are published without being written.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.archive.explanation import Explanation
from stream.archive.herald import Herald, Pending
from stream.archive.media import Kind, evict, media_path
from stream.archive.retention import DAY, Retention
from stream.archive.store import Store
from stream.base.atomic_files import partial_path
from stream.base.log import log

LIMIT: Final = 10_000
_BATCH: Final = 256
_JANITOR_EVERY: Final = 30.0
_ROOM_EVERY: Final = 2.0
_MERGED_AFTER: Final = 600.0
_HOURS_MERGED: Final = 20
_LOCKED_PAUSE: Final = 0.2
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

Setting = Literal["enabled", "threshold", "alarm", "schedule", "scene", "learnt", "self_test"]
Task = Callable[[Store], Callable[[], None] | None]  # writes; returns what to do once it is committed


class Journal:
    """The writer. `say` takes committed messages to the broker; `expired` is called with deleted files.

    `changed` is called with settings (camera, name, value) that another process wrote to the database.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        tasks: queue.Queue[Task | None],
        say: Callable[[Waiting], None],
        expired: Callable[[str, Kind], None],
        changed: Callable[[str, str, str], None] = lambda _camera, _name, _value: None,
    ) -> None:
        self._store = store
        self._retention = retention
        self._tasks = tasks
        self._herald = Herald(say)
        self._noted: deque[float] = deque()  # when each unwritten task was noted, oldest first
        self._stopping = False
        self._expired = expired
        self._changed = changed
        self._others = store.changes_of_others()
        self._known = store.settings.all()
        self._refused = self._overfull = False
        self._next_look = self._next_room = 0.0
        self.scores_lost = 0

    def message(self, payload: EventMessage, made: float, *, awaits_files: bool) -> None:
        """A message of an event, `made` at that epoch time: kept, then said."""
        pending = self._herald.expect(payload, made)

        def write(store: Store) -> Callable[[], None]:
            key = store.events.add(payload, made, awaits_files=awaits_files)
            return lambda: self._herald.written(pending, key)

        self._put(write, pending)

    @property
    def oldest_unwritten(self) -> float:
        """The age in seconds of the oldest task that is not written yet; 0 if there is none."""
        with suppress(IndexError):
            return time.monotonic() - self._noted[0]
        return 0.0

    def delivered_early(self, message: EventMessage, said: EventMessage | None) -> None:
        """As `delivered`, for a message that was said before it was written; its row is found by (`id`, `seq`)."""

        def write(store: Store) -> None:
            key = self._herald.key_of(message)
            if key is not None:
                store.events.delivered(key, said)

        self._put(write)

    def delivered(self, key: int, said: EventMessage | None = None) -> None:
        """The broker has the message as it was `said`, or it was given up (None)."""
        self._put(lambda store: store.events.delivered(key, said))

    def scores(self, camera: str, chunk: bytes) -> None:
        """A chunk of scores; left out, and counted, if the disk is far behind."""
        if self._tasks.qsize() > LIMIT // 2:
            self.scores_lost += 1
        else:
            self._put(lambda store: store.scores.add(camera, chunk))

    def setting(self, camera: str, name: Setting, value: str | None) -> None:
        """A setting that survives a restart; None: no longer."""

        def write(store: Store) -> None:
            if name == "threshold" and store.settings.all().get(camera, {}).get(name) != value:
                store.settings.set(camera, "budget", None)  # what was promised of another threshold
            store.settings.set(camera, name, value)
            known = self._known.setdefault(camera, {})
            if value is None:
                known.pop(name, None)
            else:
                known[name] = value

        self._put(write)

    def retained(self, topic: str, *, kept: bool) -> None:
        """The broker keeps a message of ours under `topic`, or no longer."""
        self._put(lambda store: store.settings.retain(topic, kept=kept))

    def file_kept(self, event_id: str, kind: Kind, size: int, then: Callable[[], None] | None = None) -> None:
        """A picture or clip is on disk; `then` is called afterwards, by the writer's thread."""

        def write(store: Store) -> Callable[[], None] | None:
            store.events.file_kept(event_id, kind, size)
            return then

        self._put(write)

    def explained(self, event_id: str, explanation: Explanation) -> None:
        """The window of an alarm, as a file beside its picture and clip; a full disk costs the file alone."""

        def write(store: Store) -> None:
            path = media_path(store.media, event_id, "window")
            partial = partial_path(path)
            try:
                partial.write_bytes(explanation.packed())
                partial.rename(path)
            except OSError as error:
                partial.unlink(missing_ok=True)
                log.warning("event has no window", id=event_id, reason=error.strerror)
            else:
                store.events.file_kept(event_id, "window", path.stat().st_size)

        self._put(write)

    def latest_snapshot(self, camera: str, then: Callable[[str, str], None]) -> None:
        """`then` gets the camera and its newest event that has a picture, if any, from the writer's thread."""

        def look(store: Store) -> Callable[[], None] | None:
            event_id = store.events.latest_snapshot(camera)
            return None if event_id is None else lambda: then(camera, event_id)

        self._put(look)

    def verdict(self, camera: str, event_id: str, verdict: str) -> None:
        """An operator's verdict on an event."""

        def write(store: Store) -> None:
            found = store.events.judge(camera, event_id, verdict)
            if found is None:
                log.warning("verdict ignored: unknown event", camera=camera, id=event_id)
            else:
                log.info("verdict", camera=camera, id=found, verdict=verdict)

        self._put(write)

    def written(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for all that was noted so far; whether it is written and said."""
        done = threading.Event()
        self._put(lambda _store: done.set)
        return done.wait(timeout)

    def stop(self) -> None:
        """`run` returns once all before this is written; a line that is full, of a disk that hangs, is left."""
        self._stopping = True
        with suppress(queue.Full):
            self._tasks.put_nowait(None)

    def run(self) -> None:
        """Write until stopped: body of the writer's thread."""
        herald = threading.Thread(target=self._herald.run, name="herald", daemon=True)
        herald.start()
        try:
            while self._turn():
                pass
        finally:
            self._herald.stop()
            herald.join(5.0)

    def _turn(self) -> bool:
        self._look_after()
        self._hear_others()
        try:
            batch = [self._tasks.get(timeout=1.0)]
        except queue.Empty:
            return not self._stopping  # the line was too full for the sign to stop
        while batch[-1] is not None and len(batch) < _BATCH and not self._tasks.empty():
            batch.append(self._tasks.get_nowait())
        tasks = [task for task in batch if task is not None]
        self._write(tasks)
        for _ in tasks:
            self._noted.popleft()
        return batch[-1] is not None

    def _hear_others(self) -> None:
        """Settings that another process has written into the database."""
        try:
            if (others := self._store.changes_of_others()) == self._others:
                return
            settings = self._store.settings.all()
        except sqlite3.Error as error:
            self._complain(error)
            return
        before, self._others, self._known = self._known, others, settings
        for camera, named in settings.items():
            for name, value in named.items():
                if before.get(camera, {}).get(name) != value:
                    self._changed(camera, name, value)

    def _put(self, task: Task, pending: Pending | None = None) -> None:
        self._noted.append(time.monotonic())
        try:
            self._tasks.put_nowait(_Said(task, self._herald, pending) if pending else task)
        except queue.Full:
            self._noted.pop()
            if not self._overfull:
                self._overfull = True
                log.error("disk does not respond: losing history")
            if pending is not None:
                self._herald.refused(pending)

    def _write(self, tasks: list[Task]) -> None:
        while True:
            try:
                with self._store.transaction():
                    after = [task(self._store) for task in tasks]
            except sqlite3.Error as error:
                self._complain(error)
                if _locked(error) and not self._stopping:
                    time.sleep(_LOCKED_PAUSE)  # the herald says what is due meanwhile
                    continue
                after = [self._write_alone(task) for task in tasks] if not _locked(error) else []
                if _locked(error):
                    log.error("database stayed locked: history lost", tasks=len(tasks))
            else:
                if self._refused and tasks:
                    self._refused = False
                    log.warning("writing the database again")
            break
        for then in after:
            if then is not None:
                then()

    def _write_alone(self, task: Task) -> Callable[[], None] | None:
        try:
            with self._store.transaction():
                return task(self._store)
        except sqlite3.Error:
            return task.refused if isinstance(task, _Said) else None

    def _complain(self, error: sqlite3.Error) -> None:
        if not self._refused:
            self._refused = True
            log.error("database cannot be written: publishing alarms from memory", error=str(error))
        self._next_look = 0.0

    def _look_after(self) -> None:
        """Evict what is old or too much; now and then, and sooner while the disk is full."""
        clock = time.monotonic()
        if not self._store.persistent or (clock < self._next_look and not (self._refused and clock >= self._next_room)):
            return
        self._next_look, self._next_room = clock + _JANITOR_EVERY, clock + _ROOM_EVERY
        now, keep = time.time(), self._retention
        try:
            gone = evict(self._store.media, keep, now)
        except OSError as error:
            log.error("old media cannot be deleted", error=error.strerror)
            return
        if gone:
            log.info("media expired", files=len(gone), bytes=sum(file.bytes for file in gone))
        for file in gone:
            self._expired(file.event_id, file.kind)
        try:
            with self._store.transaction():
                for file in gone:
                    self._store.events.file_kept(file.event_id, file.kind, 0)
                self._store.forget(now - keep.score_days * DAY, now - keep.event_days * DAY)
                self._store.scores.merge(now - _MERGED_AFTER, _HOURS_MERGED)
        except sqlite3.Error as error:
            self._complain(error)


def _locked(error: sqlite3.Error) -> bool:
    """Another program holds the lock: what is refused now can be written later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED


class _Said:
    """The task of a message: if the disk refuses it, it is published anyway."""

    def __init__(self, task: Task, herald: Herald, pending: Pending) -> None:
        self._task = task
        self._herald = herald
        self._pending = pending

    def __call__(self, store: Store) -> Callable[[], None] | None:
        return self._task(store)

    def refused(self) -> None:
        self._herald.refused(self._pending)
