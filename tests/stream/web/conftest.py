"""Fixtures: a day of a camera, and the page that serves it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from stream.alarm.event import Event, Moment
from stream.archive.explanation import Explanation
from stream.archive.media import media_path
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from tests.stream.web.desks import write_many
from tests.stream.web.sites import MODEL, Site


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of scores with two bursts, and the event of the later one with its window."""
    now, folder = time.time(), tmp_path_factory.mktemp("day")
    with Store.open(folder) as store, store.transaction():
        for first in range(0, 80_000, 60):
            rows = []
            for i in range(first, first + 60):
                start = now - 80_000 + i
                rows.append(LoggedScore(start, start + 1, 0.9 if i % 40_000 in range(39_000, 39_005) else 0.1, 32))
            store.scores.add("door", pack(rows))
        event = Event.begun("door", now - 1_000, (0.8, 0.6), MODEL)
        store.events.add(event.new(Moment(0.9, 0.9, 32, now)), now, awaits_files=False)
        store.events.add(event.end(None, now - 995, "score"), now, awaits_files=False)
        times = np.stack([np.arange(32.0), np.arange(1, 33.0)], axis=1) + now - 1_030
        weights = np.linspace(0, 1, 32, dtype=np.float32)
        pictures = np.zeros((32, 112, 112, 3), np.uint8)
        window = Explanation(times, np.zeros((32, 1, 64), np.float32), weights, 0.9, "b", pictures)
        media_path(store.media, event.id, "window").write_bytes(window.packed())
        media_path(store.media, event.id, "heat").write_text('{"region": [0, 0, 1, 1], "rows": []}')
    return folder


@pytest.fixture(scope="module")
def shared(day: Path) -> Iterator[tuple[Site, httpx.Client]]:
    """One page for all tests that leave it as it is."""
    site = Site(day)
    with site.serving() as client:
        yield site, client


@pytest.fixture
def asked(shared: tuple[Site, httpx.Client]) -> Iterator[httpx.Client]:
    """A client of it; nothing may have been posted in the end."""
    site, client = shared
    site.posted.clear()
    yield client
    assert site.posted == []


@pytest.fixture
def data(day: Path, tmp_path: Path) -> Path:
    return shutil.copytree(day, tmp_path / "data")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The data of 64 cameras with 10,000 events, 9,990 of them judged, and when the newest began."""
    folder = tmp_path_factory.mktemp("busy")
    return folder, write_many(folder)
