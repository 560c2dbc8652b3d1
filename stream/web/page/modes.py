"""Which cameras each mode watches: shown and changed in a dialog of the page."""

from __future__ import annotations

import threading
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from stream.alarm.requests import Note, Origin
from stream.web.access import Asking
from stream.web.page.sources import PageSources, refusals

_Watched = Annotated[dict[str, dict[str, bool]], Field(max_length=20)]


class Changed(BaseModel):
    """`before`: what the page showed before it was changed."""

    model_config = ConfigDict(extra="forbid", strict=True)
    modes: _Watched
    before: _Watched


class ModeRoutes:
    """`/api/modes`."""

    def __init__(self, sources: PageSources) -> None:
        self._editor = sources.modes
        self._post = sources.post
        self._turn = threading.Lock()
        self.router = router = APIRouter()
        router.get("/api/modes")(self.modes)
        router.post("/api/modes")(self.change)

    def modes(self) -> dict[str, Any]:
        with refusals(422), self._turn:
            return self._editor.shown()

    def change(self, body: Changed, person: Asking) -> dict[str, Any]:
        with refusals(422), self._turn:
            if self._editor.shown()["modes"] != body.before:
                raise HTTPException(409, "somebody else has changed the modes meanwhile; open them again")
            done = self._editor.save(body.modes)
        if not done["why"]:
            self._post(Note("modes", ", ".join(body.modes), origin=Origin(person.name, "page")))
        return done
