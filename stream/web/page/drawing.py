"""The region, masks and zones of a camera on the page, and the whole image on which they are drawn."""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from stream.alarm.drawing import drawing_of
from stream.alarm.event import EVENT_ID
from stream.alarm.requests import Origin, SetView, TakePicture
from stream.archive.media import look_path
from stream.web.access import Asking
from stream.web.page.sources import PageSources

PATIENCE: Final = 5.0
_LOOK_EVERY: Final = 0.05
_AT_ONCE: Final = 4  # a waiting request holds one of the server's threads


class NewView(BaseModel):
    """`view` None: back to the site file. `before`: what the page showed before it was changed."""

    model_config = ConfigDict(extra="forbid")
    view: dict[str, Any] | None
    before: dict[str, Any] | None = None


class DrawingRoutes:
    """`/api/cameras/CAMERA/view` and `frame.jpg`."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._waiting = threading.BoundedSemaphore(_AT_ONCE)
        self.router = router = APIRouter()
        router.get("/api/cameras/{camera}/view")(self.view)
        router.post("/api/cameras/{camera}/view", status_code=202)(self.draw)
        router.get("/api/cameras/{camera}/frame.jpg")(self.frame)

    def view(self, camera: str) -> dict[str, Any]:
        self._sources.check(camera)
        return dict(self._sources.view(camera))

    def draw(self, camera: str, body: NewView, person: Asking) -> dict[str, Any]:
        self._sources.check(camera)
        try:
            drawing = None if body.view is None else drawing_of(body.view)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        if body.before is not None and body.before != self._sources.view(camera)["view"]:
            raise HTTPException(409, "somebody else has changed it meanwhile; open it again")
        self._sources.post(SetView(camera, drawing, origin=Origin(person.name, "page")))
        return {"camera": camera, "view": None if drawing is None else drawing.as_json()}

    def frame(self, camera: str) -> Response:
        """The whole image, without masks. The decoder writes it; it is deleted once it was read.

        The janitor deletes one that comes too late.
        """
        self._sources.check(camera)
        name = f"{time.time():.2f}-{secrets.token_hex(3)}"
        assert EVENT_ID.fullmatch(name)  # noqa: S101 -- the service refuses others
        path = look_path(self._sources.folder / "media", name)
        if not self._waiting.acquire(blocking=False):
            raise HTTPException(503, "too many images are being taken; try again")
        try:
            self._sources.post(TakePicture(camera, name))
            return Response(_awaited(path), media_type="image/jpeg")
        finally:
            self._waiting.release()


def _awaited(path: Path) -> bytes:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            time.sleep(_LOOK_EVERY)
            continue
        path.unlink(missing_ok=True)
        return content
    raise HTTPException(404, "no image; the camera is not connected")
