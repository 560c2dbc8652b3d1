"""What is deleted, and when: by steady time, whatever the wall clock says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from configs.atomic import partial_path, replacing
from stream.alarm.event import Event, EventMessage, ModelName, Moment
from stream.archive import janitor as janitor_module
from stream.archive.clock import Clock
from stream.archive.janitor import Janitor
from stream.archive.media import look_path, media_path
from stream.archive.retention import DAY, CameraRetention, Retention
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.base.clock import SteadyClock, since_boot

MOMENT = Moment(0.9, 0.9, 32, 1000.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as found:
        yield found


def janitor(store: Store, retention: Retention) -> tuple[Janitor, list[str]]:
    gone: list[str] = []
    return Janitor(store, retention, lambda event, _kind: gone.append(event)), gone


def lived(store: Store, seconds: float) -> None:
    """The service has run for so long since."""
    store.clock = Clock(SteadyClock(store.clock.steady.offset + seconds), store.clock.mark.shift)


def kept_alarm(store: Store, camera: str = "door") -> str:
    """An alarm that is over, with a picture and scores."""
    now = store.clock.now()
    event = Event.begun(camera, now, (0.8, 0.6), ModelName("b", "0" * 64, "openvino"))
    messages: list[EventMessage] = [event.new(MOMENT), event.end(None, now + 1, "score")]
    for message in messages:
        store.events.delivered(
            store.events.add(message.by_the_wall(store.clock.mark), store.clock.now(), awaits_files=False)
        )
    path = media_path(store.media, event.id, "snapshot")
    with replacing(path) as partial:
        partial.write_bytes(b"x" * 1000)
        store.clock.steady.stamp(partial)
    store.events.file_kept(event.id, "snapshot", 1000)
    store.scores.add(camera, pack([LoggedScore(store.clock.wall(now), now + 1, 0.9, 32)]), now)
    return event.id


@pytest.mark.parametrize("step", [60 * 365 * DAY, -60 * 365 * DAY, 3_600.0])
def test_setting_the_wall_clock_deletes_nothing_and_ages_go_on(store: Store, step: float) -> None:
    who, gone = janitor(store, Retention(media_days=1, score_days=2, event_days=3, free_bytes=0))
    event = kept_alarm(store)
    store.clock.mark = type(store.clock.mark)(store.clock.mark.boot, step)  # the clock is set
    store.clock_set(step)
    who.turn(100.0, refused=False)
    assert gone == []
    assert store.events.get(event) is not None
    lived(store, 0.9 * DAY)
    who.turn(200.0, refused=False)
    assert gone == []
    lived(store, 0.2 * DAY)
    who.turn(300.0, refused=False)
    assert gone == [event]
    assert len(store.scores.cameras()) == 1
    lived(store, DAY)
    who.turn(400.0, refused=False)
    assert store.scores.cameras() == []
    assert store.events.get(event) is not None
    lived(store, DAY)
    who.turn(500.0, refused=False)
    assert store.events.get(event) is None


def test_the_oldest_go_first_even_after_the_clock_was_set_back(store: Store) -> None:
    who, gone = janitor(store, Retention(media_bytes=1_500, free_bytes=0))
    older = kept_alarm(store)
    store.clock.mark = type(store.clock.mark)(store.clock.mark.boot, -10 * DAY)
    lived(store, 60.0)
    newer = kept_alarm(store)
    who.turn(100.0, refused=False)
    assert gone == [older]
    assert store.events.judge("door", "latest", "true") == newer


def test_ages_go_on_over_a_restart_though_the_clock_was_set_meanwhile(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        event = kept_alarm(store)
        store.clocks.keep(store.clock)
        before = store.clock.now()
        boot = store.clock.mark.boot
        # as if the wall clock had been a year behind then
        store._database.execute("UPDATE clock SET wall = wall - ?", (365 * DAY,))
    with Store.open(tmp_path) as store:
        assert 0 <= store.clock.now() - before < 5.0
        assert [round(seconds / DAY) for _, seconds in store.clocks.steps()] == [365]
        assert store.clock.mark.boot == boot
        who, gone = janitor(store, Retention(media_days=1, event_days=1, free_bytes=0))
        who.turn(100.0, refused=False)
        assert gone == []
        assert store.events.get(event) is not None


def test_a_half_is_dead_once_nobody_has_written_it_for_two_hours(store: Store) -> None:
    who, _ = janitor(store, Retention(free_bytes=0))
    half = partial_path(media_path(store.media, "1000.00-abcdef", "clip"))
    stuck = partial_path(media_path(store.media, "2000.00-abcdef", "clip"))
    half.write_bytes(b"x")
    os.utime(half, (0, 0))  # whatever the file's time is
    stuck.mkdir()  # cannot be deleted: must not keep the rest
    os.utime(stuck, (0, 0))
    who.turn(0.0, refused=False)
    who.turn(7_000.0, refused=False)
    os.utime(half, (since_boot(), since_boot()))  # written again
    who.turn(8_000.0, refused=False)
    who.turn(15_000.0, refused=False)
    assert half.exists()
    who.turn(15_201.0, refused=False)
    assert not half.exists()
    assert stuck.exists()


def test_a_whole_image_that_nobody_has_read_is_deleted_at_the_next_turn(store: Store) -> None:
    """It came too late for whoever waited, or the service was stopped meanwhile: it shows what masks hide."""
    who, _ = janitor(store, Retention(free_bytes=0))
    late, alarm = look_path(store.media, "1000.00-abcdef"), media_path(store.media, "1000.00-abcdef", "snapshot")
    for path in (late, partial_path(late), alarm):
        path.write_bytes(b"x")
        store.clock.steady.stamp(path)
    who.turn(0.0, refused=False)
    assert late.exists()  # it may just have been written
    who.turn(30.0, refused=False)
    assert [path.name for path in store.media.iterdir()] == [alarm.name]


def test_eviction_goes_on_where_a_decoder_renames_its_half_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, clip = media_path(store.media, "1000.00-abcdef", "snapshot"), media_path(store.media, "2.00-abcdef", "clip")
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    partial_path(clip).write_bytes(b"x")
    glob = Path.glob

    def renamed_after(self: Path, pattern: str) -> Iterator[Path]:
        found = list(glob(self, pattern))
        partial_path(clip).rename(clip)
        return iter(found)

    monkeypatch.setattr(Path, "glob", renamed_after)
    who, gone = janitor(store, Retention(media_days=1, free_bytes=0))
    who.turn(100.0, refused=False)
    assert gone == [old.stem]
    assert clip.exists()


def test_a_folder_that_is_removed_while_it_is_in_use_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    with Store.open(folder) as store:
        cleaner, _ = janitor(store, Retention())
        cleaner.turn(0.0, refused=False)
        folder.rename(tmp_path / "elsewhere")
        for now in (100.0, 200.0):
            cleaner.turn(now, refused=False)
    assert "".join(capsys.readouterr()).count("data folder was removed") == 1


def test_cameras_with_a_retention_of_their_own(store: Store) -> None:
    short, long = CameraRetention(media_days=1, score_days=1, event_days=2), CameraRetention(media_days=9)
    cameras = {"lobby": short, "safe": long, "door": CameraRetention()}
    who, gone = janitor(store, Retention(media_days=3, score_days=9, event_days=9, free_bytes=0, cameras=cameras))
    events = {name: kept_alarm(store, name) for name in ("door", "lobby", "safe")}

    def left() -> tuple[set[str], set[str], set[str]]:
        files = {name for name, event in events.items() if media_path(store.media, event, "snapshot").exists()}
        stored = {name for name, event in events.items() if store.events.get(event) is not None}
        return files, stored, set(store.scores.cameras())

    everywhere = set(events)
    for number, (days, files, stored, scores) in enumerate(
        [
            (0.9, everywhere, everywhere, everywhere),
            (0.2, everywhere - {"lobby"}, everywhere, everywhere - {"lobby"}),
            (1.0, everywhere - {"lobby"}, everywhere - {"lobby"}, everywhere - {"lobby"}),
            (1.0, {"safe"}, everywhere - {"lobby"}, everywhere - {"lobby"}),
            (6.0, set(), set(), set()),
        ]
    ):
        lived(store, days * DAY)
        who.turn(100.0 * (number + 1), refused=False)
        assert left() == (files, stored, scores)
    assert sorted(gone) == sorted(events.values())


def test_a_camera_that_was_removed_keeps_its_retention_until_nothing_of_it_is_left(store: Store) -> None:
    short = CameraRetention(media_days=1, score_days=1, event_days=2)
    site = Retention(media_days=9, score_days=9, event_days=9, free_bytes=0)
    before, _ = janitor(store, replace(site, cameras={"lobby": short, "door": CameraRetention()}))
    event = kept_alarm(store, "lobby")
    before.turn(100.0, refused=False)
    after, gone = janitor(store, replace(site, cameras={"door": CameraRetention()}))  # and a restart
    lived(store, 1.1 * DAY)
    after.turn(100.0, refused=False)
    assert gone == [event]
    assert store.scores.cameras() == []
    lived(store, DAY)
    after.turn(200.0, refused=False)
    assert store.events.get(event) is None
    after.turn(300.0, refused=False)
    assert store.settings.all() == {}


def test_the_files_of_events_that_are_forgotten_go_with_them(store: Store) -> None:
    """Nothing would tell later whose they are."""
    who, gone = janitor(store, Retention(free_bytes=0, cameras={"lobby": CameraRetention(event_days=1)}))
    door, lobby = kept_alarm(store), kept_alarm(store, "lobby")
    lived(store, 1.1 * DAY)
    who.turn(100.0, refused=False)
    assert gone == [lobby]
    assert media_path(store.media, door, "snapshot").exists()
    assert not media_path(store.media, lobby, "snapshot").exists()
    who.keep({"door": CameraRetention(media_days=1)})  # the site file was changed
    who.turn(200.0, refused=False)
    assert gone == [lobby, door]


def test_many_old_events_are_forgotten_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run with a camera's own `event_days` may find years of them."""
    monkeypatch.setattr(janitor_module, "_EVENTS_AT_ONCE", 3)
    own = CameraRetention(event_days=1)
    who, gone = janitor(store, Retention(free_bytes=0, cameras={"lobby": own, "yard": own}))
    with store.transaction():
        for name in ("lobby", "lobby", "yard", "yard", "yard"):
            kept_alarm(store, name)
    lived(store, 1.1 * DAY)
    for now, forgotten in [(100.0, 3), (101.0, 3), (102.0, 5), (104.0, 5)]:
        who.turn(now, refused=False)
        assert len(gone) == forgotten
