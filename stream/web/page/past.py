"""The past: scores of the last day, events and their images, read from the data folder."""

from __future__ import annotations

import math
import time
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from stream.alarm.event import EVENT_ID
from stream.archive.event_store import EventFilter
from stream.archive.explanation import STRIP_COLUMNS, StoredExplanation, heated, read, reduced
from stream.archive.media import Kind, media_path
from stream.archive.retention import DAY
from stream.archive.score_log import ScoreColumns
from stream.base.errors import StreamError
from stream.web.access import Asking
from stream.web.page.sources import PageSources, stored_event

_AROUND: Final = 30.0  # seconds of scores before and after an alarm
_LONGEST_CURVE: Final = 1_000
_SHOWN_TOGETHER: Final[tuple[Kind, ...]] = ("snapshot", "heat")
_CACHED: Final = {"Cache-Control": "private, max-age=86400"}


class PastRoutes:
    """`/api/scores`, `/api/events`, the files of an event, and `/api/audit`."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self.router = router = APIRouter()
        router.get("/api/scores")(self.scores)
        router.get("/api/events")(self.events)
        router.get("/api/events/{event_id}")(self.event)
        router.get("/api/events/{event_id}/heat.json")(self.heat)
        router.get("/api/events/{event_id}/heat.jpg")(self.heated)
        router.get("/api/audit")(self.audit)
        router.get("/api/events/{event_id}/strip.jpg")(self.strip)
        router.get("/api/events/{event_id}/thumbnail.jpg")(self.thumbnail)

    def scores(
        self,
        camera: str,
        since: Annotated[float, Query(gt=0, le=2 * DAY)] = DAY,
        bins: Annotated[int, Query(ge=1, le=2_000)] = 288,
    ) -> dict[str, Any]:
        """The highest score in each of `bins` equal parts of the period (null where nothing was scored), and the
        alarms.
        """
        self._sources.check(camera)
        now = time.time()
        with self._sources.store() as store:
            columns = store.scores.columns(camera, now - since, now)
            alarms = store.events.alarm_times(camera, now - since)
        where = np.minimum(((columns.starts - (now - since)) / since * bins).astype(np.intp), bins - 1)
        peaks = np.full(bins, -1.0)
        np.maximum.at(peaks, where, columns.scores)
        shown = [None if peak < 0 else round(peak, 4) for peak in peaks.tolist()]
        return {"camera": camera, "since": now - since, "until": now, "peaks": shown, "alarms": alarms}

    def events(
        self,
        person: Asking,
        camera: Annotated[str | None, Query(max_length=64)] = None,
        kind: Annotated[str | None, Query(max_length=64)] = None,
        severity: Literal["alarm", "notice"] | None = None,
        verdict: Literal["true", "false_alarm", "none"] | None = None,
        answered: bool | None = None,
        since: Annotated[float, Query(ge=0, le=1e11)] = 0.0,
        before: Annotated[float, Query(ge=0, le=1e11)] = 1e11,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> list[dict[str, Any]]:
        cameras = person.cameras if camera is None else {camera} if person.sees(camera) else set()
        wanted = EventFilter(cameras, kind, severity, verdict, since, before, answered)
        with self._sources.store() as store:
            return [event.as_json() for event in store.events.latest(wanted, limit)]

    def audit(self, person: Asking, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> list[dict[str, Any]]:
        """Who changed what, newest first."""
        with self._sources.store() as store:
            return [change.as_json() for change in store.audit.latest(limit, cameras=person.cameras)]

    def event(self, event_id: str) -> dict[str, Any]:
        """An event with the scores around it and all clips of its window. Parts that are no longer stored are empty."""
        with self._sources.store() as store:
            event = stored_event(store, event_id)
            camera, begin = event.message.camera, event.message.start_time - _AROUND
            until = (event.message.end_time or time.time()) + _AROUND
            columns = store.scores.columns(camera, begin, until)
        window = self._window(event_id)
        curve = _curve(columns)
        stored = curve[-1][0] if curve else begin
        curve += [point for point in self._sources.line(camera) if stored < point[0] <= until]
        clips = []
        if window is not None:
            mark = event.message.mark  # the window's times are steady ones
            times = window.times + (0.0 if mark is None else mark.shift)
            rows = zip(times.tolist(), window.weights.tolist(), strict=True)
            clips = [{"start": start, "end": end, "weight": round(weight, 4)} for (start, end), weight in rows]
        shown = [[round(at, 2), round(score, 4)] for at, score in curve]
        heat = media_path(self._sources.folder / "media", event_id, "heat").is_file()
        return event.as_json() | {
            "curve": shown, "clips": clips, "strip_columns": STRIP_COLUMNS,
            "heat": f"/api/events/{event_id}/heat.json" if heat else None,
        }  # fmt: skip

    def _window(self, event_id: str) -> StoredExplanation | None:
        try:
            return read(media_path(self._sources.folder / "media", event_id, "window"))
        except StreamError:
            return None

    def strip(self, event_id: str) -> Response:
        """The images of the window's clips on one sheet."""
        window = self._window(event_id) if EVENT_ID.fullmatch(event_id) else None
        if window is None:
            raise HTTPException(404, "this event has no film strip")
        return Response(window.strip, media_type="image/jpeg", headers=_CACHED)

    def heat(self, event_id: str) -> Response:
        """Where in the image the alarm came from: the region, and rows of cells from 0 to 255."""
        try:
            content = media_path(self._sources.folder / "media", event_id, "heat").read_bytes()
        except (ValueError, OSError):
            raise HTTPException(404, "this event has no heat map") from None
        return Response(content, media_type="application/json", headers=_CACHED)

    def heated(self, event_id: str) -> Response:
        """The image of the event with its heat map over it."""
        folder = self._sources.folder / "media"
        try:
            picture, heat = (media_path(folder, event_id, kind).read_bytes() for kind in _SHOWN_TOGETHER)
            content = heated(picture, heat)
        except (ValueError, OSError):
            raise HTTPException(404, "this event has no heat map") from None
        return Response(content, media_type="image/jpeg", headers=_CACHED)

    def thumbnail(self, event_id: str) -> Response:
        """A small image of the event, so that a list of events does not take megabytes."""
        try:
            path = media_path(self._sources.folder / "media", event_id, "snapshot")
            small = reduced(path.read_bytes())
        except (ValueError, OSError):
            raise HTTPException(404, "this event has no image") from None
        return Response(small, media_type="image/jpeg", headers=_CACHED)


def _curve(scores: ScoreColumns) -> list[tuple[float, float]]:
    """The ends of clips and their scores; for a long alarm, the highest score of every few clips."""
    if not len(scores):
        return []
    first = np.arange(0, len(scores), math.ceil(len(scores) / _LONGEST_CURVE))
    ends, highest = scores.starts + scores.spans / 1000, np.maximum.reduceat(scores.scores, first)
    return list(zip(np.maximum.reduceat(ends, first).tolist(), highest.tolist(), strict=True))
