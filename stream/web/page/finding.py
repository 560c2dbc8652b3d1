"""The wizard that finds cameras: search, choose, name, add."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from stream.alarm.requests import Note, Origin
from stream.base.redaction import shown_url
from stream.web.access import Asking
from stream.web.page.sources import PageSources, refusals

_LONGEST_NOTE: Final = 200
_Host = Annotated[str, Field(min_length=1, max_length=1_000)]


class Wanted(BaseModel):
    """`hosts` empty: all cameras that answer."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    hosts: Annotated[list[_Host], Field(max_length=64)] = []
    user: Annotated[str, Field(max_length=64)] = ""
    password: Annotated[str, Field(max_length=128)] = ""


class Chosen(BaseModel):
    model_config = ConfigDict(extra="forbid")
    names: Annotated[dict[int, Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=256)]


class FindingRoutes:
    """`/api/search`."""

    def __init__(self, sources: PageSources) -> None:
        self._search = sources.search
        self._post = sources.post
        self.router = router = APIRouter()
        router.post("/api/search", status_code=202)(self.start)
        router.get("/api/search")(self.state)
        router.get("/api/search/{number}/picture.jpg")(self.picture)
        router.post("/api/search/add")(self.add)

    def start(self, body: Wanted, person: Asking) -> dict[str, str]:
        with refusals(409):
            self._search.start(body.hosts, body.user, body.password)
        where = ", ".join(shown_url(host) if "://" in host else host.rpartition("@")[2] for host in body.hosts)
        self._post(Note("cameras_searched", where[:_LONGEST_NOTE], origin=Origin(person.name, "page")))
        return {"state": "searching"}

    def state(self) -> dict[str, Any]:
        with refusals(422):
            return self._search.state()

    def picture(self, number: int) -> Response:
        picture = self._search.picture(number)
        if picture is None:
            raise HTTPException(404, "no such image")
        return Response(picture, media_type="image/jpeg")

    def add(self, body: Chosen, person: Asking) -> dict[str, Any]:
        with refusals(422):
            done = self._search.add(body.names)
        for name in done["added"]:
            self._post(Note("camera_added", camera=name, origin=Origin(person.name, "page")))
        return done
