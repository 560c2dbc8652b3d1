"""Data sources of the page, and what its routes share: known cameras, the store, one event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fastapi import HTTPException

from stream.alarm.answer_links import AnswerLinks
from stream.alarm.event import EVENT_ID
from stream.alarm.requests import Command
from stream.archive.event_store import ListedEvent
from stream.archive.store import Store
from stream.base.errors import StreamError, UsageError
from stream.web.page_stream import Live


class Search(Protocol):
    """Searches for cameras, and adds them to the site file. Its methods raise StreamError."""

    def start(self, hosts: Sequence[str], user: str, password: str) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def picture(self, number: int) -> bytes | None: ...

    def add(self, chosen: Mapping[int, str]) -> dict[str, Any]: ...


class Modes(Protocol):
    """Shows and changes which cameras each mode of the site file watches. Its methods raise StreamError."""

    def shown(self) -> dict[str, Any]: ...

    def save(self, watched: Mapping[str, Mapping[str, bool]]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class PageSources:
    """The data sources of the page.

    state: a JSON object with `cameras` by name.
    look: says until which monotonic time somebody looks at a camera, and whether an image every two seconds is enough;
        returns the number of its newest image, the image, and when it was taken (monotonic), or None.
    line: when its newest clips ended, and their scores.
    view: the region, masks and zones of a camera as `view`, and whether they were `drawn`.
    post: sends a command to the scoring loop.
    folder: the data folder.
    links: that recipients of notifications get, to answer.
    """

    state: Callable[[], Mapping[str, Any]]
    look: Callable[[str, float, bool], tuple[int, bytes, float] | None]
    line: Callable[[str], list[tuple[float, float]]]
    view: Callable[[str], Mapping[str, Any]]
    post: Callable[[Command], None]
    search: Search
    modes: Modes
    live: Live
    folder: Path
    links: AnswerLinks

    def changes(self, camera: str) -> Mapping[str, Any]:
        """The last change of each thing of a camera, or of the site (""), by what was changed."""
        state = self.state()
        about = state.get("mode") if not camera else state["cameras"].get(camera)
        found: Mapping[str, Any] = (about or {}).get("changes", {})
        return found

    def check(self, camera: str) -> None:
        """Raises HTTPException 404 for an unknown camera."""
        if camera not in self.state()["cameras"]:
            raise HTTPException(404, "no such camera")

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store of the data folder, read-only. Raises HTTPException if it, or the requested item, does not
        exist.
        """
        try:
            with Store.read_only(self.folder) as store:
                yield store
        except StreamError as error:
            raise HTTPException(422 if isinstance(error, UsageError) else 404, str(error)) from None


@contextmanager
def refusals(status: int) -> Iterator[None]:
    """Answers a StreamError with this status."""
    try:
        yield
    except StreamError as error:
        raise HTTPException(status, str(error)) from None


def stored_event(store: Store, event_id: str) -> ListedEvent:
    """One event. Raises HTTPException 404 for an unknown id."""
    event = store.events.get(event_id) if EVENT_ID.fullmatch(event_id) else None
    if event is None:
        raise HTTPException(404, "no such event")
    return event
