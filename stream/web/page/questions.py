"""Queries over the whole history of a camera, one at a time: what-if, and a threshold for a number of false alarms."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from stream.alarm.requests import Origin
from stream.archive.retention import DAY
from stream.archive.store import Store
from stream.lookback import history
from stream.web.access import Asking
from stream.web.page.sources import PageSources

_WAIT_FOR_TURN: Final = 20.0
Since = Annotated[float, Query(gt=0, le=31 * DAY, description="seconds before now")]


class Budget(BaseModel):
    model_config = ConfigDict(extra="forbid")
    per_day: Annotated[float, Field(gt=0, le=1_000)]


class QuestionRoutes:
    """`/api/what-if`, `/api/suggestion` and the `budget` of a camera."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._turn = threading.Lock()
        self._kept: tuple[tuple[str, float, int], history.History] | None = None
        self.router = router = APIRouter()
        router.get("/api/what-if")(self.what_if)
        router.get("/api/suggestion")(self.suggestion)
        router.post("/api/cameras/{camera}/budget", status_code=202)(self.budget)

    def what_if(
        self,
        camera: Annotated[str, Query(max_length=64)],
        threshold: Annotated[float, Query(ge=0, le=1)],
        min_duration: Annotated[float | None, Query(ge=0, le=3_600)] = None,
        since: Since = 7 * DAY,
    ) -> dict[str, Any]:
        now = time.time()
        with self._question(), self._sources.store() as store:
            history.cameras(store, camera)
            key = (camera, since, int(now // 60))
            if self._kept is None or self._kept[0] != key:  # a slider sends many requests
                self._kept = (key, history.history_of(store, camera, now - since, now))
            answer = history.what_if(store, camera, self._kept[1], threshold, min_duration)
        return answer.as_json()

    def suggestion(
        self, camera: Annotated[str, Query(max_length=64)], per_day: Annotated[float, Query(gt=0, le=1_000)]
    ) -> dict[str, Any]:
        with self._question(), self._sources.store() as store:
            history.cameras(store, camera)
            return history.suggest(store, camera, per_day, time.time()).as_json()

    def budget(self, camera: str, body: Budget, person: Asking) -> dict[str, Any]:
        """Propose a threshold and apply it through the database, as `mgfn-events suggest-threshold --apply` does."""
        self._sources.check(camera)
        with self._question(), self._sources.store() as store:
            history.cameras(store, camera)
            suggestion = history.suggest(store, camera, body.per_day, time.time())
        if suggestion.proposal is None:
            raise HTTPException(409, f"no proposal: {suggestion.days * 24:.1f} hours were scored")
        with Store.beside(self._sources.folder) as store:
            history.apply(store, suggestion, Origin(person.name, "page"))
        return {"camera": camera, "proposal": asdict(suggestion.proposal)}

    @contextmanager
    def _question(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_WAIT_FOR_TURN):
            raise HTTPException(503, "another query is running")
        try:
            yield
        finally:
            self._turn.release()
