"""What the page asks for. Handlers read snapshots and the database, and post commands; they never touch the loop."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Send

from engine.arrays import UInt8Array
from stream.alarm.event import EVENT_ID
from stream.alarm.requests import Command, GiveVerdict, RunTest, SetEnabled, SetThreshold
from stream.archive.explanation import STRIP_COLUMNS, StoredExplanation, jpeg, read, reduced
from stream.archive.media import media_path
from stream.archive.retention import DAY
from stream.archive.score_log import ScoreColumns
from stream.archive.store import Store
from stream.base.errors import StreamError, UsageError
from stream.lookback import history
from stream.web.page_stream import Live

STREAMS: Final = 100
_LOOK_EVERY: Final = 0.25
_STATE_EVERY: Final = 2.0
_UNREAD_FOR: Final = 30.0
_AROUND: Final = 30.0  # seconds of scores before and after an alarm
_LONGEST_CURVE: Final = 1_000
_PICTURE_QUALITY: Final = 75
_KEPT_BY_BROWSER: Final = {"Cache-Control": "private, max-age=86400"}
_FILES: Final = {"index.html": "text/html", "app.js": "text/javascript", "charts.js": "text/javascript",
                 "style.css": "text/css"}  # fmt: skip

Since = Annotated[float, Query(gt=0, le=31 * DAY, description="seconds back from now")]
Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class PageSources:
    """Where the page's answers come from.

    `state` gives a JSON object with `cameras` by name; `picture` a camera's newest picture (224, 224, 3) RGB, None
    while there is none; `line` when its newest clips ended and their scores; `post` takes a command for the scoring
    loop; `folder` is the data folder.
    """

    state: Callable[[], Mapping[str, Any]]
    picture: Callable[[str], UInt8Array | None]
    line: Callable[[str], list[tuple[float, float]]]
    post: Callable[[Command], None]
    live: Live
    folder: Path


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: Literal["true", "false_alarm"]


class Threshold(BaseModel):
    model_config = ConfigDict(extra="forbid")
    threshold: Fraction


class Enabled(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    enabled: bool


class Budget(BaseModel):
    model_config = ConfigDict(extra="forbid")
    per_day: Annotated[float, Field(gt=0, le=1_000)]


class EventStream(StreamingResponse):
    """Ends with a reader that takes nothing for half a minute."""

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Any) -> None:
            async with asyncio.timeout(_UNREAD_FOR):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            return


def page_routes(sources: PageSources) -> APIRouter:
    """The page's routes, to be included in an application."""
    return _Routes(sources).router


class _Routes:
    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._streams = 0
        self._state: tuple[float, str] = (0.0, "")
        self._asking = threading.Lock()  # one question to the whole history at a time
        self._kept: tuple[tuple[str, float, int], ScoreColumns] | None = None
        self.router = router = APIRouter()
        get, post = router.get, router.post
        get("/")(lambda: _file("index.html"))
        get("/page/{name}")(_file)
        get("/api/state")(lambda: Response(self._state_text(), media_type="application/json"))
        get("/api/stream")(self.stream)
        get("/api/cameras/{camera}/picture.jpg")(self.picture)
        get("/api/cameras/{camera}/line")(self.line)
        get("/api/scores")(self.scores)
        get("/api/events")(self.events)
        get("/api/events/{event_id}")(self.event)
        get("/api/events/{event_id}/strip.jpg")(self.strip)
        get("/api/events/{event_id}/thumbnail.jpg")(self.thumbnail)
        get("/api/what-if")(self.what_if)
        get("/api/suggestion")(self.suggestion)
        post("/api/events/{event_id}/verdict", status_code=202)(self.verdict)
        post("/api/cameras/{camera}/threshold", status_code=202)(self.threshold)
        post("/api/cameras/{camera}/enabled", status_code=202)(self.enabled)
        post("/api/cameras/{camera}/test", status_code=202)(self.test)
        post("/api/cameras/{camera}/budget", status_code=202)(self.budget)

    # live

    def _state_text(self) -> str:
        """The state as JSON; made once for all pages that ask at the same time."""
        now = time.monotonic()
        if now - self._state[0] >= _STATE_EVERY / 2:
            self._state = (now, json.dumps(dict(self._sources.state()) | {"time": time.time()}))
        return self._state[1]

    async def stream(self) -> Response:
        """Server-sent events: `score` and `event` as they happen, `state` every two seconds."""
        if self._streams >= STREAMS:
            return JSONResponse({"detail": f"{STREAMS} pages are open"}, 503)
        return EventStream(self._told(self._sources.live.newest), media_type="text/event-stream")

    async def _told(self, number: int) -> AsyncIterator[str]:
        live = self._sources.live
        self._streams += 1
        try:
            state_at = 0.0
            yield "retry: 2000\n\n"
            while not live.closed:
                messages, number, lost = live.since(number)
                now = time.monotonic()
                if lost:
                    messages.insert(0, f"event: missed\ndata: {lost}\n\n")
                if now - state_at >= _STATE_EVERY:
                    state_at = now
                    messages.append(f"event: state\ndata: {self._state_text()}\n\n")
                if messages:
                    yield "".join(messages)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self._streams -= 1

    def picture(self, camera: str) -> Response:
        self._check(camera)
        picture = self._sources.picture(camera)
        if picture is None:
            raise HTTPException(404, "no picture yet")
        return Response(jpeg(picture, _PICTURE_QUALITY), media_type="image/jpeg")

    def line(self, camera: str) -> list[list[float]]:
        """[end of a clip, its score] of the last two minutes: the database hears of them a minute later."""
        self._check(camera)
        return [[round(at, 2), round(score, 4)] for at, score in self._sources.line(camera)]

    def _check(self, camera: str) -> None:
        if camera not in self._sources.state()["cameras"]:
            raise HTTPException(404, "no such camera")

    # the past

    @contextmanager
    def _store(self) -> Iterator[Store]:
        try:
            with Store.read_only(self._sources.folder) as store:
                yield store
        except StreamError as error:
            raise HTTPException(422 if isinstance(error, UsageError) else 404, str(error)) from None

    def scores(
        self,
        camera: str,
        since: Annotated[float, Query(gt=0, le=2 * DAY)] = DAY,
        bins: Annotated[int, Query(ge=1, le=2_000)] = 288,
    ) -> dict[str, Any]:
        """The highest score in each of `bins` equal parts of the time, null where nothing was scored; and alarms."""
        self._check(camera)
        now = time.time()
        with self._store() as store:
            columns = store.score_columns(camera, now - since, now)
            alarms = store.alarm_times(camera, now - since)
        where = np.minimum(((columns.starts - (now - since)) / since * bins).astype(np.intp), bins - 1)
        peaks = np.full(bins, -1.0)
        np.maximum.at(peaks, where, columns.scores)
        shown = [None if peak < 0 else round(peak, 4) for peak in peaks.tolist()]
        return {"camera": camera, "since": now - since, "until": now, "peaks": shown, "alarms": alarms}

    def events(
        self,
        camera: Annotated[str | None, Query(max_length=64)] = None,
        before: Annotated[float, Query(ge=0, le=1e11)] = 1e11,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> list[dict[str, Any]]:
        with self._store() as store:
            return store.latest_events(camera, before, limit)

    def _event(self, store: Store, event_id: str) -> dict[str, Any]:
        event = store.event(event_id) if EVENT_ID.fullmatch(event_id) else None
        if event is None:
            raise HTTPException(404, "no such event")
        return event

    def event(self, event_id: str) -> dict[str, Any]:
        """An event with the scores around it and every clip of its window; what is gone is empty."""
        with self._store() as store:
            event = self._event(store, event_id)
            until = (event["end_time"] or time.time()) + _AROUND
            columns = store.score_columns(event["camera"], event["start_time"] - _AROUND, until)
        window = self._window(event_id)
        curve = _curve(columns)
        stored = curve[-1][0] if curve else event["start_time"] - _AROUND
        curve += [point for point in self._sources.line(event["camera"]) if stored < point[0] <= until]
        clips = []
        if window is not None:
            rows = zip(window.times.tolist(), window.weights.tolist(), strict=True)
            clips = [{"start": start, "end": end, "weight": round(weight, 4)} for (start, end), weight in rows]
        shown = [[round(at, 2), round(score, 4)] for at, score in curve]
        return event | {"curve": shown, "clips": clips, "strip_columns": STRIP_COLUMNS}

    def _window(self, event_id: str) -> StoredExplanation | None:
        try:
            return read(media_path(self._sources.folder / "media", event_id, "window"))
        except StreamError:
            return None

    def strip(self, event_id: str) -> Response:
        window = self._window(event_id) if EVENT_ID.fullmatch(event_id) else None
        if window is None:
            raise HTTPException(404, "no film strip of this event")
        return Response(window.strip, media_type="image/jpeg", headers=_KEPT_BY_BROWSER)

    def thumbnail(self, event_id: str) -> Response:
        """The event's picture, small: a list of events must not weigh megabytes."""
        try:
            path = media_path(self._sources.folder / "media", event_id, "snapshot")
            small = reduced(path.read_bytes())
        except (ValueError, OSError):
            raise HTTPException(404, "no picture of this event") from None
        return Response(small, media_type="image/jpeg", headers=_KEPT_BY_BROWSER)

    # questions

    def what_if(
        self,
        camera: Annotated[str, Query(max_length=64)],
        threshold: Annotated[float, Query(ge=0, le=1)],
        min_duration: Annotated[float | None, Query(ge=0, le=3_600)] = None,
        since: Since = 7 * DAY,
    ) -> dict[str, Any]:
        now = time.time()
        with self._question(), self._store() as store:
            history.cameras(store, camera)
            key = (camera, since, int(now // 60))
            if self._kept is None or self._kept[0] != key:  # a slider asks again and again
                self._kept = (key, store.score_columns(camera, now - since, now))
            answer = history.what_if(store, camera, self._kept[1], threshold, min_duration)
        return answer.as_json()

    def suggestion(
        self, camera: Annotated[str, Query(max_length=64)], per_day: Annotated[float, Query(gt=0, le=1_000)]
    ) -> dict[str, Any]:
        with self._question(), self._store() as store:
            history.cameras(store, camera)
            return history.suggest(store, camera, per_day, time.time()).as_json()

    @contextmanager
    def _question(self) -> Iterator[None]:
        if not self._asking.acquire(timeout=20):
            raise HTTPException(503, "another question is being answered")
        try:
            yield
        finally:
            self._asking.release()

    # commands

    def verdict(self, event_id: str, body: Verdict) -> dict[str, str]:
        with self._store() as store:
            event = self._event(store, event_id)
        self._sources.post(GiveVerdict(event["camera"], event_id, body.verdict))
        return {"id": event_id, "verdict": body.verdict}

    def threshold(self, camera: str, body: Threshold) -> dict[str, Any]:
        self._check(camera)
        self._sources.post(SetThreshold(camera, body.threshold))
        return {"camera": camera, "threshold": body.threshold}

    def enabled(self, camera: str, body: Enabled) -> dict[str, Any]:
        self._check(camera)
        self._sources.post(SetEnabled(camera, body.enabled))
        return {"camera": camera, "enabled": body.enabled}

    def test(self, camera: str) -> dict[str, Any]:
        self._check(camera)
        self._sources.post(RunTest(camera))
        return {"camera": camera}

    def budget(self, camera: str, body: Budget) -> dict[str, Any]:
        """Propose and put into force, through the database as `mgfn-events suggest-threshold --apply` does."""
        self._check(camera)
        with self._question(), self._store() as store:
            history.cameras(store, camera)
            suggestion = history.suggest(store, camera, body.per_day, time.time())
        if suggestion.proposal is None:
            raise HTTPException(409, f"no proposal: {suggestion.days * 24:.1f} hours were scored")
        with Store.beside(self._sources.folder) as store:
            history.apply(store, suggestion)
        return {"camera": camera, "proposal": asdict(suggestion.proposal)}


def _curve(scores: ScoreColumns) -> list[tuple[float, float]]:
    """When clips ended, and scores: of long alarms the highest of each few clips."""
    if not len(scores):
        return []
    first = np.arange(0, len(scores), math.ceil(len(scores) / _LONGEST_CURVE))
    ends, highest = scores.starts + scores.spans / 1000, np.maximum.reduceat(scores.scores, first)
    return list(zip(np.maximum.reduceat(ends, first).tolist(), highest.tolist(), strict=True))


def _file(name: str) -> Response:
    if name not in _FILES:
        return JSONResponse({"detail": "no such file"}, 404)
    content = resources.files("stream.web").joinpath("page", name).read_bytes()
    return Response(content, media_type=_FILES[name])
