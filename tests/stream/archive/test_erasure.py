"""What is erased is gone, and nothing else: also from the free pages of the database."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.archive.erasure import erase
from stream.archive.media import SUFFIX, Kind, media_path
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.cli import mgfn_events as events_cli

MODEL = ModelName("b", "0" * 64, "openvino")
KINDS: tuple[Kind, ...] = tuple(SUFFIX)
HOUR = 1_795_000_000.0 - 1_795_000_000 % 3600


def alarm(store: Store, camera: str, start: float, end: float | None) -> str:
    event = Event.begun(camera, start, (0.8, 0.6), MODEL)
    store.events.add(event.new(Moment(0.9, 0.9, 32, start)), 1.0, awaits_files=False)
    if end is not None:
        store.events.add(event.end(None, end, "score"), 1.0, awaits_files=False)
    for kind in KINDS:
        media_path(store.media, event.id, kind).write_bytes(b"x" * 100)
        store.events.file_kept(event.id, kind, 100)
    return event.id


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """An hour of scores of two cameras; alarms before, in, across, after, and open."""
    with Store.open(tmp_path) as store:
        ids = {
            "before": alarm(store, "door", HOUR + 100, HOUR + 200),
            "across": alarm(store, "door", HOUR + 590, HOUR + 610),
            "in": alarm(store, "door", HOUR + 700, HOUR + 705),
            "after": alarm(store, "door", HOUR + 1_200, HOUR + 1_300),
            "open": alarm(store, "door", HOUR + 800, None),
            "yard": alarm(store, "yard", HOUR + 700, HOUR + 705),
        }
        for camera in ("door", "yard"):
            rows = [LoggedScore(HOUR + at, HOUR + at + 1, 0.5, 32) for at in range(3_600)]
            for first in range(0, 3_600, 300):
                store.scores.add(camera, pack(rows[first : first + 300]), 1.0)
    return tmp_path, ids


def test_only_the_period_of_the_camera_is_erased(filled: tuple[Path, dict[str, str]]) -> None:
    folder, ids = filled
    with Store.beside(folder) as store:
        counted = erase(store, "door", HOUR + 600, HOUR + 1_000, dry=True)
        assert len(store.scores.columns("door", HOUR, HOUR + 3_600)) == 3_600
        done = erase(store, "door", HOUR + 600, HOUR + 1_000)
        assert done == counted
        assert (done.events, done.images, done.clips, done.windows, done.bytes) == (2, 2, 2, 2, 800)
        assert (done.scores, done.open_events) == (400, 1)
        kept = {event.message.id for event in store.events.since(HOUR)}
        assert kept == {ids[name] for name in ("before", "after", "open", "yard")}
        assert {waiting.payload.id for waiting in store.events.waiting()} == kept
        on_disk = {path.name for path in store.media.iterdir()}
        assert on_disk == {event_id + suffix for event_id in kept for suffix in SUFFIX.values()}
        left = store.scores.columns("door", HOUR, HOUR + 3_600)
        assert len(left) == 3_200
        assert not ((left.starts > HOUR + 599.5) & (left.starts < HOUR + 999.5)).any()
        assert len(store.scores.columns("yard", HOUR, HOUR + 3_600)) == 3_600
        again = erase(store, "door", HOUR + 600, HOUR + 1_000)
        assert (again.events, again.bytes, again.scores) == (0, 0, 0)
    for name in ("in", "across"):
        assert not any(ids[name].encode() in file.read_bytes() for file in folder.iterdir() if file.is_file())


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-events", "erase", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        events_cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_the_command_counts_first_and_erases_when_told(
    filled: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = filled
    times = [time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(HOUR + at)) for at in (600, 1_000)]
    period = ["--data", folder, "--camera", "door", "--from", times[0], "--to", times[1]]
    assert run(monkeypatch, *period) == 0
    assert "would be erased (--yes erases it): 2 events, 2 images" in capsys.readouterr().out
    assert run(monkeypatch, *period, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "camera": "door", "events": 2, "images": 2, "clips": 2, "windows": 2, "bytes": 800, "scores": 400,
        "open_events": 1, "erased": True,
    }  # fmt: skip
    for wrong, says in (
        (["--from", "yesterday", "--to", times[1]], "--from yesterday: must be a time such as"),
        (["--from", times[1], "--to", times[0]], "the period must end after it begins"),
    ):
        assert run(monkeypatch, "--data", folder, "--camera", "door", *wrong) == 2
        assert says in capsys.readouterr().err
