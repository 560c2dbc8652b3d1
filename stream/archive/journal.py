"""Writes to the data folder in a separate thread, so that the scoring loop never waits for a disk.

All other methods only queue and return at once; `run` writes, in a thread created by the service. The `Herald` passes
an event message to the MQTT sink when it is committed, when the disk refuses it, or after 0.7 s, so a full, locked or
hanging disk never delays an alarm. The queue is bounded (LIMIT): scores are omitted from half of it on; messages that
no longer fit are published without being written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from stream.alarm.audit import Change
from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.alarm.requests import GiveVerdict, JudgedEvent
from stream.archive.canary_store import CanarySpan
from stream.archive.herald import Herald
from stream.archive.janitor import Janitor
from stream.archive.media import Kind
from stream.archive.others import SettingsOfOtherProcesses
from stream.archive.retention import Retention
from stream.archive.store import Store
from stream.archive.stored_files import StoredFiles
from stream.archive.verdicts import judge, missed
from stream.archive.writer import Line, Writer
from stream.base.log import log

Setting = Literal[
    "enabled",
    "threshold",
    "threshold_scale",
    "alarm",
    "schedule",
    "scene",
    "learnt",
    "canary",
    "epoch",
    "self_test",
    "snooze",
    "mode",
    "digest",
    "view",
]

# Stores a message and returns it with its key in the outbox; None if there is none.
Compose = Callable[[Store], tuple[EventMessage, int] | None]


class Journal:
    """`say` takes committed messages to the broker; `expired` is called with deleted files, `changed` with settings
    (camera, name, value) that another process wrote to the database.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        line: Line,
        say: Callable[[Waiting], None],
        expired: Callable[[str, Kind], None],
        changed: Callable[[str, str, str], None] = lambda _camera, _name, _value: None,
    ) -> None:
        self._clock = store.clock
        self._writer = Writer(store, line)
        self.files = StoredFiles(self._writer, store.clock)
        self._herald = Herald(say)
        self.janitor = Janitor(store, retention, expired)
        self._others = SettingsOfOtherProcesses(store, changed)
        self.scores_lost = 0

    def message(self, payload: EventMessage, made: float, *, awaits_files: bool) -> None:
        """A message of an event, `made` at that steady time: stored, then published."""
        pending = self._herald.expect(payload, made)

        def write(store: Store) -> Callable[[], None]:
            key = store.events.add(payload, made, awaits_files=awaits_files)
            return lambda: self._herald.written(pending, key)

        self._writer.put(write, lambda: self._herald.refused(pending))

    @property
    def oldest_unwritten(self) -> float:
        """The age in seconds of the oldest task that is not written yet; 0 if there is none."""
        return self._writer.oldest_unwritten

    def delivered_early(self, message: EventMessage, said: EventMessage | None) -> None:
        """Like `delivered`, for a message that was published before it was written."""

        def write(store: Store) -> None:
            key = self._herald.key_of(message)
            if key is not None:
                store.events.delivered(key, said)

        self._writer.put(write)

    def delivered(self, key: int, said: EventMessage | None = None) -> None:
        """The broker has the message as it was `said`, or it was discarded (None)."""
        self._writer.put(lambda store: store.events.delivered(key, said))

    def scores(self, camera: str, chunk: bytes) -> None:
        """A chunk of scores; omitted, and counted, if the disk is far behind."""
        now = self._clock.now()
        if self._writer.half_full:
            self.scores_lost += 1
        else:
            self._writer.put(lambda store: store.scores.add(camera, chunk, now))

    def canary(self, span: CanarySpan) -> None:
        """A comparison with a canary; omitted, like scores, if the disk is far behind."""
        now = self._clock.now()
        if not self._writer.half_full:
            self._writer.put(lambda store: store.canary.add(span, now))

    def setting(self, camera: str, name: Setting, value: str | None) -> None:
        """A setting that survives a restart; None removes it."""

        def write(store: Store) -> None:
            if name == "threshold" and store.settings.named(name).get(camera, {}).get(name) != value:
                store.settings.set(camera, "budget", None)  # what was promised for another threshold
            store.settings.set(camera, name, value)
            self._others.ours(camera, name, value)

        self._writer.put(write)

    def audit(self, change: Change, made: float) -> None:
        """An entry of the audit log, made at that steady time."""
        self._writer.put(lambda store: store.audit.add(change, made))

    def last_changes(self, then: Callable[[Sequence[Change]], None]) -> None:
        """`then` is called with the last change of everything, by the writer's thread."""

        def look(store: Store) -> Callable[[], None]:
            found = store.audit.last_of_each()
            return lambda: then(found)

        self._writer.put(look)

    def retained(self, topic: str, *, kept: bool) -> None:
        """The broker retains a message of ours under `topic`, or no longer."""
        self._writer.put(lambda store: store.settings.retain(topic, kept=kept))

    def verdict(self, given: GiveVerdict, learn: Callable[[JudgedEvent], None], noted: Callable[[], None]) -> None:
        """An operator's verdict on an event; `learn` gets it from the writer's thread, once it is stored. `noted` is
        called if it is another one than before.
        """
        now = self._clock.now()

        def write(store: Store) -> Callable[[], None] | None:
            if (stored := judge(store, given, now)) is None:
                return None
            judged, changed = stored

            def tell() -> None:
                learn(judged)
                if changed:
                    noted()

            return tell

        self._writer.put(write)

    def latest_alarm(self, camera: str, then: Callable[[str], None]) -> None:
        """`then` is called with the id of the camera's last published alarm, by the writer's thread."""

        def look(store: Store) -> Callable[[], None] | None:
            event_id = store.events.latest_alarm(camera)
            if event_id is None:
                log.warning("acknowledgement ignored: no alarm yet", camera=camera)
                return None
            return lambda: then(event_id)

        self._writer.put(look)

    def add(self, compose: Compose, made: float, then: Callable[[EventMessage], None]) -> None:
        """A message that only the stored event can give: stored, then published; `then` gets it."""

        def write(store: Store) -> Callable[[], None] | None:
            if (composed := compose(store)) is None:
                return None
            message, key = composed

            def say() -> None:
                log.info(message.type, camera=message.camera, id=message.id)
                self._herald.written(self._herald.expect(message, made), key)
                then(message)

            return say

        self._writer.put(write, lambda: log.error("acknowledgement or escalation lost: it cannot be stored"))

    def missed_verdicts(self, camera: str, known: Mapping[str, str], learn: Callable[[JudgedEvent], None]) -> None:
        """`learn` gets the verdicts that the camera does not know yet, from the writer's thread."""

        def look(store: Store) -> Callable[[], None]:
            judged = missed(store, camera, known)

            def tell() -> None:
                for each in judged:
                    learn(each)

            return tell

        self._writer.put(look)

    def written(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for everything queued so far; returns whether it is written and published."""
        done = threading.Event()
        self._writer.put(lambda _store: done.set)
        return done.wait(timeout)

    def clock_set(self, seconds: float) -> None:
        """The wall clock was set by so many seconds; the store's clock already knows."""
        self._writer.put(lambda store: store.clock_set(seconds))

    def stop(self) -> None:
        """Make `run` return once everything queued before is written; gives up if the queue is full."""
        self._writer.put(lambda store: store.clocks.keep(store.clock))
        self._writer.stop()

    def run(self) -> None:
        """Body of the writer's thread: write until stopped."""
        herald = threading.Thread(target=self._herald.run, name="herald", daemon=True)
        herald.start()
        try:
            self._writer.run(self._between)
        finally:
            self._herald.stop()
            herald.join(5.0)

    def _between(self, *, refused: bool) -> None:
        self.janitor.turn(time.monotonic(), refused=refused)
        self._others.turn()
