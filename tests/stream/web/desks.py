"""A page with the state of many cameras, and 10,000 events of theirs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stream.alarm.event import Event, Moment
from stream.archive.media import media_path
from stream.archive.store import Store
from stream.base.people import People
from stream.web.server import NOBODY
from tests.stream.web.sites import MODEL, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CAMERAS = tuple(f"camera-{number:02}-with-a-name-as-long-as-names-may-be-in-this-program"[:64] for number in range(64))
EVENTS = 10_000


def add_event(store: Store, camera: str, start: float, *, image: bytes | None = None) -> str:
    event = Event.begun(camera, start, (0.8, 0.6), MODEL)
    store.events.add(event.new(Moment(0.9, 0.9, 32, start)), start, awaits_files=False)
    store.events.add(event.end(None, start + 5, "score"), start, awaits_files=False)
    if image is not None:
        media_path(store.media, event.id, "snapshot").write_bytes(image)
    return event.id


def write_many(folder: Path) -> float:
    """Store the events of 64 cameras; all but ten were judged. Returns the epoch time of the newest."""
    now = time.time()
    with Store.open(folder) as store, store.transaction():
        for number in range(EVENTS):
            camera = CAMERAS[number % 64]
            event = add_event(store, camera, now - 60 * number - 60)
            if number >= 10:
                store.events.judge(camera, event, "false_alarm" if number % 2 else "true")
    return now


@contextmanager
def desk(folder: Path, people: People = NOBODY, cameras: tuple[str, ...] = CAMERAS) -> Iterator[tuple[Site, str]]:
    site = Site(folder, people)
    site.cameras = cameras
    site.whole_state()
    with site.serving():
        yield site, f"http://127.0.0.1:{site.port}/"


def opened(browser: Browser, address: str, *, width: int = 1280, language: str = "en-GB") -> tuple[Page, list[str]]:
    page = browser.new_context(locale=language, viewport={"width": width, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    return page, complaints
