"""Commands of an operator on the page: each request becomes a command for the scoring loop."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, HTTPException
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stream.alarm.requests import (
    Acknowledge,
    GiveVerdict,
    Origin,
    RunTest,
    SetEnabled,
    SetMode,
    SetSnooze,
    SetThreshold,
    checked_name,
)
from stream.alarm.snooze import LONGEST_SNOOZE
from stream.base.people import ANYBODY, Person
from stream.web.access import Asking
from stream.web.page.sources import PageSources, stored_event
from stream.web.page.turns import Turns


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    verdict: Literal["true", "false_alarm"]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    by: Annotated[str, AfterValidator(checked_name)] | None = None


class Setting(BaseModel):
    """`seen`: when the setting was last changed, as far as the sender knows; 0 for never."""

    model_config = ConfigDict(extra="forbid", strict=True)
    seen: float | None = None


class Threshold(Setting):
    threshold: Annotated[float, Field(ge=0, le=1)]


class Minutes(Setting):
    minutes: Annotated[float, Field(ge=0, le=LONGEST_SNOOZE)]


class ChosenMode(Setting):
    mode: Annotated[str, Field(max_length=64)]


class Enabled(Setting):
    enabled: bool


OnPage = Annotated[str, Header(alias="X-Page", max_length=40)]  # which of the open pages asks


def _by(person: Person) -> Origin:
    return Origin(person.name, "page")


class CommandRoutes:
    """Verdicts, acknowledgements, thresholds, snoozes, the mode, enabling and disabling, test events."""

    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._turns = Turns(sources.changes)
        self.router = router = APIRouter()
        router.post("/api/events/{event_id}/verdict", status_code=202)(self.verdict)
        router.post("/api/events/{event_id}/ack", status_code=202)(self.acknowledge)
        router.post("/api/events/{event_id}/answer/{by}/{code}", status_code=202)(self.answer)
        router.post("/api/cameras/{camera}/threshold", status_code=202)(self.threshold)
        router.post("/api/cameras/{camera}/enabled", status_code=202)(self.enabled)
        router.post("/api/cameras/{camera}/snooze", status_code=202)(self.snooze)
        router.post("/api/mode", status_code=202)(self.mode)
        router.post("/api/cameras/{camera}/test", status_code=202)(self.test)

    def verdict(self, event_id: str, body: Verdict, person: Asking) -> dict[str, str]:
        with self._sources.store() as store:
            event = stored_event(store, event_id)
        self._sources.post(GiveVerdict(event.message.camera, event_id, body.verdict, origin=_by(person)))
        told = {"camera": event.message.camera, "id": event_id, "verdict": body.verdict}
        self._sources.live.tell("verdict", told)  # to the pages of others
        return {"id": event_id, "verdict": body.verdict}

    def acknowledge(self, event_id: str, body: Answer, person: Asking) -> dict[str, str]:
        with self._sources.store() as store:
            event = stored_event(store, event_id)
        by = body.by if body.by and person == ANYBODY else person.name
        self._sources.post(Acknowledge(event.message.camera, event_id, by, origin=Origin(by, "page")))
        return {"id": event_id, "by": by}

    def answer(self, event_id: str, by: str, code: str) -> dict[str, str]:
        """The button in a notification: whoever has its link needs no login."""
        if not self._sources.links.right(event_id, by, code):
            raise HTTPException(403, "not a link of this installation")
        with self._sources.store() as store:
            event = stored_event(store, event_id)
        self._sources.post(Acknowledge(event.message.camera, event_id, by, origin=Origin(by, "notification")))
        return {"id": event_id, "by": by}

    def threshold(self, camera: str, body: Threshold, person: Asking, page: OnPage = "") -> dict[str, Any]:
        self._sources.check(camera)
        self._turns.take(camera, "threshold", body.seen, person, page)
        self._sources.post(SetThreshold(camera, body.threshold, origin=_by(person)))
        return {"camera": camera, "threshold": body.threshold}

    def enabled(self, camera: str, body: Enabled, person: Asking, page: OnPage = "") -> dict[str, Any]:
        self._sources.check(camera)
        self._turns.take(camera, "enabled", body.seen, person, page)
        self._sources.post(SetEnabled(camera, body.enabled, origin=_by(person)))
        return {"camera": camera, "enabled": body.enabled}

    def snooze(self, camera: str, body: Minutes, person: Asking, page: OnPage = "") -> dict[str, Any]:
        self._sources.check(camera)
        self._turns.take(camera, "snooze", body.seen, person, page)
        self._sources.post(SetSnooze(camera, body.minutes, origin=_by(person)))
        return {"camera": camera, "minutes": body.minutes}

    def mode(self, body: ChosenMode, person: Asking, page: OnPage = "") -> dict[str, str]:
        known = self._sources.state().get("mode")
        if known is None or body.mode not in known["options"]:
            allowed = "the site file has no `modes`" if known is None else f"must be {', '.join(known['options'])}"
            raise HTTPException(422, f"no such mode: {body.mode!r}; {allowed}")
        self._turns.take("", "mode", body.seen, person, page)
        self._sources.post(SetMode(body.mode, origin=_by(person)))
        return {"mode": body.mode}

    def test(self, camera: str, person: Asking) -> dict[str, Any]:
        self._sources.check(camera)
        self._sources.post(RunTest(camera, origin=_by(person)))
        return {"camera": camera}
