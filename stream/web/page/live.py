"""The present: state, event stream, newest images and scores. Handlers never access the scoring loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from stream.base.people import Person
from stream.web.access import Asking
from stream.web.page.sources import PageSources
from stream.web.sight import seen_state

STREAMS: Final = 100
WATCHERS: Final = 8
_IMAGE_EVERY: Final = 0.2  # how often a decoder takes one
_LOOKED_FOR: Final = 2.0  # seconds for which an image is taken after the last look
_NEW_WITHIN: Final = 10.0  # seconds; then the camera is offline, and somebody else may watch another
_BOUNDARY: Final = "mgfn-image"
_LOOK_EVERY: Final = 0.25
_STATE_EVERY: Final = 2.0
_UNREAD_FOR: Final = 30.0
_STILL_FOR: Final = 5.0  # seconds for which an image counts as the present, and for which more are taken
_AWAITED: Final = 1.0  # seconds for which a request waits for the first one


class EventStream(StreamingResponse):
    """Server-sent events, or images. The stream ends if the client reads nothing for half a minute."""

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Any) -> None:
            async with asyncio.timeout(_UNREAD_FOR):
                await send(message)

        try:
            await super().stream_response(send_in_time)
        except TimeoutError:
            return


class LiveRoutes:
    """`/api/state`, `/api/stream`, and the current images and scores of a camera."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._streams = 0
        self._states: dict[Person, tuple[float, str]] = {}
        self.router = router = APIRouter()
        router.get("/api/state")(self.state)
        router.get("/api/stream")(self.stream)
        router.get("/api/cameras/{camera}/picture.jpg")(self.picture)
        router.get("/api/cameras/{camera}/live.mjpeg")(self.live)
        router.get("/api/cameras/{camera}/line")(self.line)

    def state(self, person: Asking) -> Response:
        return Response(self._state_text(person), media_type="application/json")

    def _state_text(self, person: Person) -> str:
        """The state as JSON, built once for all pages of a person that request it at the same time."""
        now = time.monotonic()
        built, text = self._states.get(person, (0.0, ""))
        if not text or now - built >= _STATE_EVERY / 2:
            you = {"name": person.name, "operator": person.operator, "all_cameras": person.cameras is None}
            text = json.dumps(seen_state(person, self._sources.state()) | {"time": time.time(), "you": you})
            self._states[person] = (now, text)
        return text

    async def stream(self, person: Asking) -> Response:
        """Server-sent events: `score` and `event` as they happen, `state` every two seconds."""
        if self._streams >= STREAMS:
            return JSONResponse({"detail": f"too many open pages; at most {STREAMS} are allowed"}, 503)
        return EventStream(self._messages(person, self._sources.live.newest), media_type="text/event-stream")

    async def _messages(self, person: Person, number: int) -> AsyncIterator[str]:
        """The messages after `number` that concern the person."""
        live = self._sources.live
        self._streams += 1
        try:
            state_at = 0.0
            yield "retry: 2000\n\n"
            while not live.closed:
                messages, number, lost = live.since(number, person.sees)
                now = time.monotonic()
                if lost:
                    messages.insert(0, f"event: missed\ndata: {lost}\n\n")
                if now - state_at >= _STATE_EVERY:
                    state_at = now
                    messages.append(f"event: state\ndata: {self._state_text(person)}\n\n")
                if messages:
                    yield "".join(messages)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self._streams -= 1

    async def picture(self, camera: str) -> Response:
        """What people are shown of the camera, at most five seconds old unless it is not connected; 204: nothing yet.

        A decoder takes such images only while they are asked for.
        """
        self._sources.check(camera)
        asked = time.monotonic()
        while True:
            now = time.monotonic()
            newest = self._sources.look(camera, now + _STILL_FOR, True)
            if now >= asked + _AWAITED or (newest is not None and newest[2] > asked - _STILL_FOR):
                break
            await asyncio.sleep(_IMAGE_EVERY / 4)
        return Response(status_code=204) if newest is None else Response(newest[1], media_type="image/jpeg")

    async def live(self, camera: str) -> Response:
        """Up to five images a second (`multipart/x-mixed-replace`), taken only while somebody looks.

        An image that was taken before is not sent. The stream ends if the camera sends no new one.
        """
        self._sources.check(camera)
        if self._sources.live.watchers >= WATCHERS:
            return JSONResponse({"detail": f"too many live images; at most {WATCHERS} are allowed"}, 503)
        return EventStream(self._images(camera), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")

    async def _images(self, camera: str) -> AsyncIterator[bytes]:
        live = self._sources.live
        live.watchers += 1
        try:
            yield f"--{_BOUNDARY}\r\n".encode()
            before = self._sources.look(camera, time.monotonic() + _LOOKED_FOR, False)
            shown, until = 0 if before is None else before[0], time.monotonic() + _NEW_WITHIN
            while not live.closed and time.monotonic() < until:
                newest = self._sources.look(camera, time.monotonic() + _LOOKED_FOR, False)
                if newest is None and camera not in self._sources.state()["cameras"]:
                    return
                if newest is not None and newest[0] != shown:
                    shown, jpeg, _ = newest
                    until = time.monotonic() + _NEW_WITHIN
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    yield head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode()
                await asyncio.sleep(_LOOK_EVERY if newest is None else _IMAGE_EVERY / 2)
        finally:
            live.watchers -= 1

    def line(self, camera: str) -> list[list[float]]:
        """[end of a clip, its score] for the last two minutes, which are not in the database yet."""
        self._sources.check(camera)
        return [[round(at, 2), round(score, 4)] for at, score in self._sources.line(camera)]
