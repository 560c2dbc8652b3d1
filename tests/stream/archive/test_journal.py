"""The writer: what is kept is said, and a full disk costs no alarm."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.alarm.outbox import Waiting
from stream.alarm.requests import GiveVerdict
from stream.archive.journal import Journal
from stream.archive.retention import Retention
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.archive.writer import LIMIT
from tests.servers.processes import until

MOMENT = Moment(0.9, 0.9, 32, 1001.0)


def begun() -> Event:
    return Event.begun("door", time.time(), (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))


class Writing:
    def __init__(self, store: Store, retention: Retention) -> None:
        self.said: list[Waiting] = []
        self.expired: list[tuple[str, str]] = []
        tasks = queue.Queue(LIMIT)  # type: ignore[var-annotated] # the journal's own kind
        gone = self.expired
        self.journal = Journal(store, retention, tasks, self.said.append, lambda *file: gone.append(file))

    @contextmanager
    def running(self) -> Iterator[Journal]:
        thread = threading.Thread(target=self.journal.run)
        thread.start()
        try:
            yield self.journal
        finally:
            self.journal.stop()
            thread.join(10)
            assert not thread.is_alive()


def test_messages_are_kept_before_they_are_said(tmp_path: Path) -> None:
    event = begun()
    with Store.open(tmp_path) as store:
        writing = Writing(store, Retention())
        with writing.running() as journal:
            for payload in [event.new(MOMENT), *(event.update(MOMENT) for _ in range(300))]:
                journal.message(payload, 1.0, awaits_files=False)
            assert journal.written(10)
            assert [m.payload.seq for m in writing.said] == list(range(301))
            keys = [m.key for m in writing.said if m.key is not None]
            assert keys == sorted(set(keys))
            for key in keys[:-1]:
                journal.delivered(key)
            assert journal.written(10)
            assert [w.key for w in store.events.waiting()] == keys[-1:]


def test_a_full_database_costs_history_and_no_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = begun()
    with Store.open(tmp_path) as store:
        # SQLite's own limit: the same error as a full disk
        store._database.execute("PRAGMA max_page_count = 20")
        writing = Writing(store, Retention())
        with writing.running() as journal:
            journal.message(event.new(MOMENT), 1.0, awaits_files=False)
            for start in range(300):
                journal.scores("door", pack([LoggedScore(start, start + 1.0, os.urandom(1)[0] / 255, 32)] * 200))
            for _ in range(100):
                journal.message(event.update(MOMENT), 1.0, awaits_files=False)
            journal.message(event.end(MOMENT, 1.0, "score"), 1.0, awaits_files=False)
            assert journal.written(20)
            until(lambda: len(writing.said) == 102, what="the refused messages")
            assert [m.payload.seq for m in writing.said] == list(range(102))
            assert writing.said[-1].key is None
            assert "".join(capsys.readouterr()).count("publishing alarms from memory") == 1
            store._database.execute("PRAGMA max_page_count = 1000000")
            journal.message(begun().new(MOMENT), 1.0, awaits_files=False)
            assert journal.written(10)
            assert writing.said[-1].key is not None
    assert "database can be written again" in "".join(capsys.readouterr())


def test_old_media_is_evicted_and_forgotten(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for number in range(4):
            path = store.media / f"{1000 + number}.00-abcdef.jpg"
            path.write_bytes(b"x" * 1000)
            os.utime(path, (number, time.time() - 100 + number))
            store.events.file_kept(path.stem, "snapshot", 1000)
        (store.media / "notes.txt").write_text("not ours")
        writing = Writing(store, Retention(media_bytes=2_500, free_bytes=0))
        with writing.running() as journal:
            assert journal.written(10)
        assert writing.expired == [("1000.00-abcdef", "snapshot"), ("1001.00-abcdef", "snapshot")]
        left = sorted(path.name for path in store.media.iterdir())
        assert left == ["1002.00-abcdef.jpg", "1003.00-abcdef.jpg", "notes.txt"]


def test_verdicts_on_unknown_events_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(tmp_path) as store, Writing(store, Retention()).running() as journal:
        never = lambda *_: pytest.fail("no such event")  # noqa: E731
        journal.verdict(GiveVerdict("door", "1000.00-abcdef", "true"), never, never)
        assert journal.written(10)
    assert "verdict ignored: unknown event" in "".join(capsys.readouterr())


def test_a_disk_that_fails_for_one_task_fails_for_no_other(tmp_path: Path) -> None:
    def broken(_store: Store) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with Store.open(tmp_path) as store:
        writing = Writing(store, Retention())
        writing.journal._writer.put(broken)
        writing.journal.setting("door", "threshold", "0.5")
        with writing.running() as journal:
            assert journal.written(10)
        assert store.settings.all() == {"door": {"threshold": "0.5"}}


@pytest.mark.slow
def test_a_disk_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        writing = Writing(store, Retention())
        for _ in range(LIMIT + 1):  # nobody writes
            writing.journal.delivered(1)
        ended = threading.Thread(target=writing.journal.stop, daemon=True)
        ended.start()
        ended.join(10)
        assert not ended.is_alive()


def test_what_a_camera_has_learned_does_not_stay_in_memory(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, Writing(store, Retention()).running() as journal:
        tracemalloc.start()
        try:
            for number in range(8):
                journal.setting(f"cam{number}", "learnt", str(number) * 300_000)
                assert journal.written(10)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 1_000_000


def test_another_threshold_keeps_no_promise_of_the_last_one(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.settings.set("door", "threshold", "0.7")  # as `suggest-threshold --apply` writes both
        store.settings.set("door", "budget", "{}")
        with Writing(store, Retention()).running() as journal:
            journal.setting("door", "threshold", "0.7")  # the service takes it over
            assert journal.written(10)
            assert store.settings.all() == {"door": {"threshold": "0.7", "budget": "{}"}}
            journal.setting("door", "threshold", "0.6")
            assert journal.written(10)
            assert store.settings.all() == {"door": {"threshold": "0.6"}}


@pytest.mark.slow
def test_a_locked_database_holds_up_no_alarm_and_costs_no_history(tmp_path: Path) -> None:
    """Another program holds the write lock for 7 s: longer than SQLite waits for it."""
    said: list[tuple[float, Waiting]] = []
    with Store.open(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        tasks = queue.Queue(LIMIT)  # type: ignore[var-annotated] # the journal's own kind
        journal = Journal(store, Retention(), tasks, lambda w: said.append((time.monotonic(), w)), lambda *_: None)
        thread = threading.Thread(target=journal.run)
        thread.start()
        try:
            assert journal.written(10)
            other.execute("BEGIN IMMEDIATE")
            alarms, decided = [begun() for _ in range(5)], time.monotonic()
            for event in alarms:
                journal.message(event.new(MOMENT), 1.0, awaits_files=False)
                journal.setting("door", "threshold", "0.5")
                journal.message(event.end(MOMENT, 1.0, "score"), 1.0, awaits_files=False)
            time.sleep(2.0)
            assert len(said) == 10
            assert max(at for at, _ in said) - decided < 2.0
            assert [(w.payload.id, w.payload.seq) for _, w in said] == [(e.id, n) for e in alarms for n in (0, 1)]
            assert {w.key for _, w in said} == {None}
            assert 1.9 < journal.oldest_unwritten < 4.0
            assert store.events.waiting() == []  # after a kill now no `end` is owed
            for _, waiting in said[:4]:
                journal.delivered_early(waiting.payload, waiting.payload)
            time.sleep(5.0)
            other.execute("COMMIT")
            assert journal.written(10)
            assert journal.oldest_unwritten == 0.0
            assert {e.message.id for e in store.events.since(0.0)} == {e.id for e in alarms}
            assert len(said) == 10
            assert [(w.payload.id, w.payload.seq) for w in store.events.waiting()] == [
                (e.id, n) for e in alarms[2:] for n in (0, 1)
            ]
        finally:
            other.close()
            journal.stop()
            thread.join(10)


@pytest.mark.slow
def test_a_full_line_keeps_the_order(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        writing = Writing(store, Retention())
        event = begun()
        writing.journal.message(event.new(MOMENT), 1.0, awaits_files=False)
        for _ in range(LIMIT):
            writing.journal.delivered(10**6)
        writing.journal.message(event.end(MOMENT, 1.0, "score"), 1.0, awaits_files=False)  # does not fit
        with writing.running():
            pass
        assert [w.payload.seq for w in writing.said] == [0, 1]
