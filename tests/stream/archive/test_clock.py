"""Steady time over restarts, and databases that knew none."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.alarm.wall import UNSET_BEFORE, WallMark
from stream.archive.clock import Clock, KeptClock
from stream.archive.retention import DAY
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.base.clock import SteadyClock

KEPT = KeptClock("boot-1", 500.0, 10_000.0, 20_000.0)
NOW = 1_795_466_000.0


def test_in_the_same_run_of_the_machine_the_wall_clock_is_not_asked() -> None:
    for wall in (0.0, 20_100.0, 1e12):
        assert KEPT.steady_at("boot-1", 600.0, wall) == 10_100.0


@pytest.mark.parametrize(
    ("wall", "off"),
    [
        (20_000.0 + 3_600.0, 3_600.0),  # off for an hour
        (20_000.0 + 0.99 * DAY, 0.99 * DAY),
        (20_000.0 + 10.25 * DAY, 0.25 * DAY),  # ten days, or a clock that is wrong: the same time of day
        (20_000.0 + 60 * 365 * DAY, 20.0),  # 2099
        (0.0, 20.0),  # 1970
    ],
)
def test_after_a_restart_of_the_machine_whole_days_are_not_believed(wall: float, off: float) -> None:
    assert KEPT.steady_at("boot-2", 30.0, wall) == pytest.approx(10_000.0 + off)
    assert KEPT.steady_at("", 30.0, wall) == pytest.approx(10_000.0 + off)  # a machine that does not name its runs


def test_steps_are_seen_once_and_slow_reading_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(SteadyClock.by_the_wall())
    assert clock.look() is None
    real, ahead = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    ahead = 3_600.0
    step = clock.look()
    assert step == pytest.approx(3_600.0, abs=0.1)
    assert clock.look() is None
    assert clock.wall(clock.now()) == pytest.approx(real() + 3_600.0, abs=0.1)
    ahead = 3_600.3  # a clock that is led gently
    assert clock.look() is None
    ahead = 0.0
    assert clock.look() == pytest.approx(-3_600.0, abs=0.1)


def message(start: float, mark: WallMark) -> Event:
    event = Event.begun("door", start, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
    return Event(event.new(Moment(0.9, 0.9, 32, start)).by_the_wall(mark))


def test_times_are_corrected_where_they_are_certainly_wrong() -> None:
    unset, here, elsewhere = WallMark("a", 0.0), WallMark("a", NOW), WallMark("b", NOW)
    new = message(60.0, unset)._last
    for now in (here, elsewhere):
        corrected = new.corrected(now)
        assert corrected.start_time == NOW + 60.0
        assert corrected.latency_from == NOW + 60.0
        assert corrected.local_time.startswith("2026-11-23T")
        assert corrected.corrected(now) is corrected
        assert corrected.id == new.id
    late = message(NOW, WallMark("a", 0.0))._last
    assert late.corrected(WallMark("a", 3_600.0)).start_time == NOW + 3_600.0
    # another run of the machine: it may have been off for an hour
    assert late.corrected(WallMark("b", 3_600.0)) is late
    assert new.corrected(WallMark("b", 86_400.0)) is new  # it is not set there either


def version_1(folder: Path, starts: tuple[float, ...]) -> None:
    """A data folder as version 1 left it."""
    with Store.open(folder) as store:
        for start in starts:
            event = Event.begun("door", start, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
            store.events.add(event.end(None, start + 1, "score"), start, awaits_files=False)
            store.scores.add("door", pack([LoggedScore(start, start + 1, 0.9, 32)]))
    database = sqlite3.connect(folder / "events.db", isolation_level=None)
    for table in ("events", "scores"):
        database.execute(f"ALTER TABLE {table} DROP COLUMN age_from")
    for table in ("clock", "clock_steps"):
        database.execute(f"DROP TABLE {table}")
    database.execute("PRAGMA user_version = 1")
    database.close()


def test_a_database_of_version_1_goes_on_with_its_newest(tmp_path: Path) -> None:
    now = time.time()
    version_1(tmp_path, (30.0, now - 40 * DAY, now - 100.0, now + 1e9))
    with Store.open(tmp_path) as store:
        assert store.clock.now() == pytest.approx(now, abs=30.0)
        store.forget(store.clock.now() - 30 * DAY, store.clock.now() - 30 * DAY, {}, ())
        left = sorted(event.message.start_time for event in store.events.since(0.0))
        # what was stamped before the clock was set, or in the future, counts as new
        assert left == pytest.approx([30.0, now - 100.0, now + 1e9], abs=1.0)
        assert len(store.scores.columns("door", 0.0, 1e12)) == 3
    with Store.open(tmp_path) as store:
        assert store.clocks.kept() is None or store.clock.now() >= now


def test_scores_from_before_the_clock_was_set_are_moved(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.scores.add("door", pack([LoggedScore(60.0 + n, 61.0 + n, 0.5, 32) for n in range(60)]), 120.5)
        store.scores.add("door", pack([LoggedScore(NOW, NOW + 1, 0.5, 32)]), NOW)
        store.scores.correct(0.0)  # still not set
        assert store.scores.columns("door", 0.0, UNSET_BEFORE).starts[0] == 60.0
        store.scores.correct(NOW)
        columns = store.scores.columns("door", UNSET_BEFORE, 1e12)
        assert len(columns) == 61
        assert sorted(columns.starts.tolist())[1] == pytest.approx(NOW + 60.5, abs=0.01)
        assert len(store.scores.columns("door", 0.0, UNSET_BEFORE)) == 0
