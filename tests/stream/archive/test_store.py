"""The data folder: what survives, what is refused, what is set aside."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.archive.database import DATABASE, MEDIA
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.base.errors import UsageError
from stream.sinks.delivery import stamped
from tests.servers.disks import fill, small_disk

MODEL = ModelName("default", "ab" * 32, "openvino")
MOMENT = Moment(0.9, 0.9, 32, 1001.0)


def begun(camera: str = "door", start: float = 1000.0) -> Event:
    return Event.begun(camera, start, (0.8, 0.6), MODEL)


def test_messages_leave_in_order_and_once(tmp_path: Path) -> None:
    event = begun()
    with Store.open(tmp_path) as store:
        keys = [store.events.add(event.new(MOMENT), 1001.0, awaits_files=True)]
        keys += [store.events.add(event.update(MOMENT), 1003.0, awaits_files=True)]
        store.events.delivered(keys[0])
    with Store.open(tmp_path) as store:
        (waiting,) = store.events.waiting()
        assert (waiting.payload.type, waiting.made, waiting.key) == ("update", 1003.0, keys[1])


def test_what_an_earlier_run_left_unfinished(tmp_path: Path) -> None:
    still_open, unfilmed, done, lost = (
        begun(start=1000.0),
        begun(start=1100.0),
        begun(start=1200.0),
        begun(start=1300.0),
    )
    with Store.open(tmp_path) as store:
        for event in (still_open, unfilmed, done):
            store.events.add(event.new(MOMENT), 1.0, awaits_files=True)
        store.events.add(lost.new(MOMENT), 1.0, awaits_files=False)
        for event in (unfilmed, done):
            store.events.add(event.end(MOMENT, 1300.0, "score"), 2.0, awaits_files=True)
        store.events.add(done.media(snapshot=True, clip=True), 3.0, awaits_files=True)
        found = [(payload.id, payload.seq, files) for payload, files in store.events.unfinished()]
    assert found == [(still_open.id, 0, True), (unfilmed.id, 1, True), (lost.id, 0, False)]


def test_verdicts_find_the_event_of_their_camera(tmp_path: Path) -> None:
    first, second, elsewhere = begun(start=1000.0), begun(start=2000.0), begun("yard", 3000.0)
    with Store.open(tmp_path) as store:
        for event in (first, second, elsewhere):
            store.events.add(event.new(MOMENT), 1.0, awaits_files=False)
        assert store.events.judge("door", first.id, "true") == first.id
        assert store.events.judge("door", "latest", "false_alarm") == second.id
        assert store.events.judge("door", elsewhere.id, "true") is None
        assert store.events.judge("hall", "latest", "true") is None
        store.events.file_kept(first.id, "snapshot", 1234)
        rows = store.events.since(since=0.0)
        assert [row.verdict for row in rows] == ["true", "false_alarm", None]
        assert [row.snapshot_bytes for row in rows] == [1234, 0, 0]
        assert store.events.latest_snapshot("door") == first.id
        store.events.file_kept(first.id, "snapshot", 0)
        assert store.events.latest_snapshot("door") is None
        assert [row.message.id for row in store.events.since(since=2500.0)] == [elsewhere.id]


def test_a_suppressed_alarm_and_a_notice_are_listed_and_nobodys_last_alarm(tmp_path: Path) -> None:
    told, capped = begun(start=1000.0), begun(start=2000.0)
    capped.suppress("hourly_cap")
    notice = Event.begun("door", 3000.0, (0.8, 0.6), MODEL, severity="notice")
    with Store.open(tmp_path) as store:
        for event in (told, capped, notice):
            store.events.add(event.new(MOMENT), 1.0, awaits_files=True)
            store.events.file_kept(event.id, "snapshot", 1234)
        assert [row.message.suppressed for row in store.events.since(0.0)] == [None, "hourly_cap", None]
        assert [row.message.severity for row in store.events.since(0.0)] == ["alarm", "alarm", "notice"]
        assert store.events.alarm_times("door", 0.0) == [1000.0]
        assert store.events.latest_snapshot("door") == told.id
        assert store.events.judge("door", "latest", "true") == told.id
        assert store.events.judge("door", capped.id, "true") == capped.id


def test_the_last_verdict_is_on_an_alarm_and_not_on_a_test(tmp_path: Path) -> None:
    alarm = begun()
    test = Event.begun("door", 2000.0, (0.8, 0.6), MODEL, test=True)
    with Store.open(tmp_path) as store:
        for event in (alarm, test):
            store.events.add(event.new(MOMENT), 1.0, awaits_files=False)
        assert store.events.judge("door", "latest", "false_alarm") == alarm.id
        assert store.events.judge("door", test.id, "true") == test.id


def test_the_last_message_is_shown_as_it_left(tmp_path: Path) -> None:
    event = begun()
    with Store.open(tmp_path) as store:
        new, update = event.new(MOMENT), event.update(MOMENT)
        keys = [store.events.add(payload, 1001.0, awaits_files=False) for payload in (new, update)]
        store.events.delivered(keys[0], stamped(new, 1001.0, 1001.5))  # no longer the last
        (shown,) = store.events.since(0.0)
        assert (shown.message.published_time, shown.message.latency_ms, shown.message.delayed) == (None, None, False)
        left = stamped(update, 1001.0, 1020.5)
        store.events.delivered(keys[1], left)
        said = left.as_json()
        (shown,) = store.events.since(0.0)
        assert shown.as_json() == said | {"verdict": None, "snapshot_bytes": 0, "clip_bytes": 0}
        assert (shown.message.latency_ms, shown.message.delayed) == (19_500, True)
        # an earlier run's event goes on from what its messages count from
        ((kept, _),) = store.events.unfinished()
        end = Event(kept).end(None, 1002.0, "restart")
        assert (Event(kept).last_time, end.published_time, end.delayed) == (1001.0, None, False)
        assert stamped(end, 1030.0, 1030.0).latency_ms == 29_000


def test_scores_settings_and_topics(tmp_path: Path) -> None:
    scores = [LoggedScore(1000.0 + i, 1001.0 + i, i / 100, 32) for i in range(60)]
    with Store.open(tmp_path) as store:
        store.scores.add("door", pack(scores[:30]))
        store.scores.add("door", pack(scores[30:]))
        store.scores.add("yard", pack(scores[:1]))
        found = store.scores.columns("door", 1010.0, 1040.0)
        assert found.starts.tolist() == [1010.0 + i for i in range(30)]
        store.forget(1020.0, 0.0, {}, ())
        assert len(store.scores.columns("door", 0.0, 2000.0)) == 30
        store.settings.set("door", "threshold", "0.5")
        store.settings.set("door", "threshold", "0.7")
        assert store.settings.all() == {"door": {"threshold": "0.7"}}
        store.settings.retain("mgfn/door/anomaly", kept=True)
        store.settings.retain("mgfn/door/status", kept=True)
        store.settings.retain("mgfn/door/status", kept=False)
        assert store.settings.retained_topics() == ["mgfn/door/anomaly"]


def test_an_hour_of_scores_becomes_one_chunk_and_stays_the_same(tmp_path: Path) -> None:
    began = 1_795_000_000.0 - 1_795_000_000 % 3600
    scores = [LoggedScore(began + i, began + i + 1, i % 100 / 100, 32) for i in range(3 * 3600)]
    with Store.open(tmp_path) as store:
        for first in range(0, len(scores), 60):
            store.scores.add("door", pack(scores[first : first + 60]))
        before = store.scores.columns("door", began, began + 3 * 3600)
        assert store.scores.merge(began + 2 * 3600 + 1800, at_most=1) == 1
        assert store.scores.merge(began + 2 * 3600 + 1800, at_most=9) == 1
        assert store.scores.merge(began + 2 * 3600 + 1800, at_most=9) == 0
        assert store._database.execute("SELECT count(*) FROM scores").fetchone() == (62,)
        after = store.scores.columns("door", began, began + 3 * 3600)
        np.testing.assert_allclose(after.starts, before.starts, atol=1e-3)
        np.testing.assert_array_equal(after.values, before.values)
        # a time at the very end of a merged hour finds it, too
        assert len(store.scores.columns("door", began + 3_590, began + 3_600)) == 10


def test_a_damaged_chunk_costs_its_own_time_and_not_the_writer(tmp_path: Path) -> None:
    began = 1_795_000_000.0 - 1_795_000_000 % 3600
    with Store.open(tmp_path) as store:
        for first in (0, 60, 120):
            store.scores.add(
                "door", pack([LoggedScore(began + first + i, began + first + i + 1, 0.5, 32) for i in range(60)])
            )
        store._database.execute("UPDATE scores SET chunk = substr(chunk, 1, 40) WHERE start = ?", (began + 60,))
        assert len(store.scores.columns("door", began, began + 3600)) == 120
        assert store.scores.merge(began + 2 * 3600, at_most=9) == 1
        assert len(store.scores.columns("door", began, began + 3600)) == 120


def test_a_second_process_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with pytest.raises(UsageError, match="in use by another mgfn-stream"):
            Store.open(tmp_path)
        store.events.add(begun().new(MOMENT), 1.0, awaits_files=False)
        with Store.read_only(tmp_path) as reader:
            assert len(reader.events.since(0.0)) == 1
    Store.open(tmp_path).close()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    database = sqlite3.connect(tmp_path / DATABASE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    for opening in (Store.open, Store.read_only):
        with pytest.raises(UsageError, match="version 99 is newer than this program's 2"):
            opening(tmp_path)
    assert not list(tmp_path.glob("*corrupt*"))
    database = sqlite3.connect(tmp_path / DATABASE)
    assert database.execute("PRAGMA user_version").fetchone() == (99,)
    database.close()


@pytest.mark.parametrize("damage", ["no database at all", "a page overwritten"])
def test_a_corrupt_database_is_set_aside_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    with Store.open(tmp_path) as store:
        for start in range(200):
            store.events.add(begun(start=float(start)).new(MOMENT), 1.0, awaits_files=False)
    path = tmp_path / DATABASE
    content = bytearray(path.read_bytes())
    content[:] = (
        b"garbage " * 1000 if damage == "no database at all" else content[:8192] + b"\xff" * 4096 + content[12288:]
    )
    path.write_bytes(content)
    with Store.open(tmp_path) as store:
        assert store.events.since(0.0) == []
    (aside,) = [p for p in tmp_path.glob("events.db.corrupt-*") if not p.name.endswith(("-wal", "-shm"))]
    assert aside.read_bytes() == bytes(content)
    assert "database corrupt: renamed" in "".join(capsys.readouterr())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--data .*file/x: cannot be written: Not a directory"):
        Store.open(tmp_path / "file" / "x")
    with pytest.raises(UsageError, match=r"holds no events\.db"):
        Store.read_only(tmp_path)
    # as another user's folder, which the tests' own user may be root enough to read
    with pytest.raises(UsageError, match=r"--data .*: cannot be read: File name too long"):
        Store.read_only(tmp_path / ("x" * 300))


def test_all_or_nothing(tmp_path: Path) -> None:
    def fail_halfway(store: Store) -> None:
        with store.transaction():
            store.settings.set("door", "threshold", "0.5")
            raise KeyError

    with Store.open(tmp_path) as store:
        with pytest.raises(KeyError):
            fail_halfway(store)
        assert store.settings.all() == {}


def test_an_end_that_fails_leaves_room_for_the_next_transaction(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store._database.executescript(
            "PRAGMA foreign_keys = ON; CREATE TABLE parent (a PRIMARY KEY);"
            "CREATE TABLE child (a REFERENCES parent (a) DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(sqlite3.IntegrityError), store.transaction():  # it is the COMMIT that fails
            store._database.execute("INSERT INTO child VALUES (1)")
        with store.transaction():
            store.settings.set("door", "threshold", "0.5")
        assert store.settings.all() == {"door": {"threshold": "0.5"}}


def test_a_folder_on_a_disk_that_knows_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.raises(UsageError, match=r"cannot be locked: No locks available; must be a folder on a local disk"):
        Store.open(tmp_path)


@pytest.mark.parametrize("used_before", [False, True])
def test_a_start_on_a_full_disk_makes_room_from_old_media(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], used_before: bool
) -> None:
    with small_disk(tmp_path / "small") as folder:
        old = folder / MEDIA / "1000.00-abcdef.mp4"
        old.parent.mkdir()
        old.write_bytes(bytes(200_000))
        if used_before:
            with Store.open(folder) as store:
                store.events.add(begun().new(MOMENT), 1.0, awaits_files=False)
                store.events.file_kept("1000.00-abcdef", "clip", 200_000)
        fill(folder)
        with Store.open(folder) as store:
            assert len(store.events.since(0.0)) == used_before
            store.settings.set("door", "threshold", "0.5")
            assert store._database.execute("SELECT count(*) FROM files").fetchone() == (0,)
        assert not old.exists()
    assert "disk full: deleting old media" in "".join(capsys.readouterr())


def test_a_start_on_a_disk_full_of_other_things_keeps_alarms_in_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "small") as folder:
        Store.open(folder).close()
        fill(folder)
        with Store.open(folder) as store:
            assert store.events.add(begun().new(MOMENT), 1.0, awaits_files=False) == 1
            with pytest.raises(UsageError, match="in use by another mgfn-stream"):
                Store.open(folder)
        (folder / "filler").unlink()
        with Store.open(folder) as store:
            assert store.events.since(0.0) == []
    assert "publishing alarms from memory" in "".join(capsys.readouterr())


@pytest.mark.skipif(sys.platform != "linux", reason="the library's name")
def test_the_memory_of_the_database_does_not_grow_with_its_content(tmp_path: Path) -> None:
    used = ctypes.CDLL("libsqlite3.so.0").sqlite3_memory_used  # the library that Python has loaded
    used.restype = ctypes.c_int64
    before = used()
    with Store.open(tmp_path) as store:
        if used() == before:
            pytest.skip("Python has a SQLite of its own")
        chunk = pack([LoggedScore(1e9, 1e9 + 1, 0.5, 32)]) * 100
        for number in range(400):
            with store.transaction():
                store.settings.set(f"cam{number}", "scene", chunk.hex())
        written = sum(path.stat().st_size for path in tmp_path.glob(f"{DATABASE}*"))
        assert written > 3 * 2**20
        assert used() - before < 600 * 2**10
