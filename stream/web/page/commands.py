"""Commands of an operator on the page: each request becomes a command for the scoring loop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stream.alarm.requests import (
    Acknowledge,
    GiveVerdict,
    RunTest,
    SetEnabled,
    SetMode,
    SetSnooze,
    SetThreshold,
    checked_name,
)
from stream.alarm.snooze import LONGEST_SNOOZE
from stream.web.page.sources import PageSources, stored_event


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: Literal["true", "false_alarm"]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    by: Annotated[str, AfterValidator(checked_name)] = "page"


class Threshold(BaseModel):
    model_config = ConfigDict(extra="forbid")
    threshold: Annotated[float, Field(ge=0, le=1)]


class Minutes(BaseModel):
    model_config = ConfigDict(extra="forbid")
    minutes: Annotated[float, Field(ge=0, le=LONGEST_SNOOZE)]


class ChosenMode(BaseModel):
    model_config = ConfigDict(extra="forbid")
    mode: Annotated[str, Field(max_length=64)]


class Enabled(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    enabled: bool


class CommandRoutes:
    """Verdicts, acknowledgements, thresholds, snoozes, the mode, enabling and disabling, test events."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self.router = router = APIRouter()
        router.post("/api/events/{event_id}/verdict", status_code=202)(self.verdict)
        router.post("/api/events/{event_id}/ack", status_code=202)(self.acknowledge)
        router.post("/api/cameras/{camera}/threshold", status_code=202)(self.threshold)
        router.post("/api/cameras/{camera}/enabled", status_code=202)(self.enabled)
        router.post("/api/cameras/{camera}/snooze", status_code=202)(self.snooze)
        router.post("/api/mode", status_code=202)(self.mode)
        router.post("/api/cameras/{camera}/test", status_code=202)(self.test)

    def verdict(self, event_id: str, body: Verdict) -> dict[str, str]:
        with self._sources.store() as store:
            event = stored_event(store, event_id)
        self._sources.post(GiveVerdict(event.message.camera, event_id, body.verdict))
        return {"id": event_id, "verdict": body.verdict}

    def acknowledge(self, event_id: str, body: Answer) -> dict[str, str]:
        with self._sources.store() as store:
            event = stored_event(store, event_id)
        self._sources.post(Acknowledge(event.message.camera, event_id, body.by))
        return {"id": event_id, "by": body.by}

    def threshold(self, camera: str, body: Threshold) -> dict[str, Any]:
        self._sources.check(camera)
        self._sources.post(SetThreshold(camera, body.threshold))
        return {"camera": camera, "threshold": body.threshold}

    def enabled(self, camera: str, body: Enabled) -> dict[str, Any]:
        self._sources.check(camera)
        self._sources.post(SetEnabled(camera, body.enabled))
        return {"camera": camera, "enabled": body.enabled}

    def snooze(self, camera: str, body: Minutes) -> dict[str, Any]:
        self._sources.check(camera)
        self._sources.post(SetSnooze(camera, body.minutes))
        return {"camera": camera, "minutes": body.minutes}

    def mode(self, body: ChosenMode) -> dict[str, str]:
        known = self._sources.state().get("mode")
        if known is None or body.mode not in known["options"]:
            allowed = "the site file has no `modes`" if known is None else f"must be {', '.join(known['options'])}"
            raise HTTPException(422, f"no such mode: {body.mode!r}; {allowed}")
        self._sources.post(SetMode(body.mode))
        return {"mode": body.mode}

    def test(self, camera: str) -> dict[str, Any]:
        self._sources.check(camera)
        self._sources.post(RunTest(camera))
        return {"camera": camera}
