"""Events in Frigate, through its HTTP API: created when an alarm begins, ended when it ends.

Written to Frigate's published API (0.14 and later), and never run against a real Frigate. Frigate dates an event by the
time it is created, so an event that cannot be created soon is not created at all.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from stream.alarm.event import EventMessage
from stream.base.errors import UsageError
from stream.base.redaction import shown_url
from stream.sinks.courier import UndeliveredError

_TIMEOUT: Final = httpx.Timeout(5.0, connect=3.0)
_NEW_WORTH, _END_WORTH = 60.0, 3600.0


@dataclass(frozen=True)
class FrigateSettings:
    """How to reach Frigate, and what to write there.

    url: http[s]://[user:password@]host[:port] of Frigate's web page. ca: the CA certificate that signed Frigate's
    certificate, if it is not one of the system's. cameras: maps camera names to Frigate's names where they differ.
    """

    url: str = field(repr=False)
    label: str = "anomaly"
    sub_label: str = "mgfn"
    cameras: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None


class FrigateBridge:
    """Frigate, as a recipient for the courier. Raises UsageError for an invalid address or certificate."""

    name = "frigate"

    def __init__(self, settings: FrigateSettings) -> None:
        self._settings = settings
        self._open: dict[str, str] = {}  # our events -> Frigate's
        self._looked: set[str] = set()  # cameras on which we have no unknown open event
        try:
            address = httpx.URL(settings.url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in ("http", "https") or not address.host or address.query:
            shown = shown_url(settings.url)
            raise UsageError(f"frigate: url {shown}: must be http[s]://[user:password@]host[:port]")
        self._login = {"user": address.username, "password": address.password} if address.username else None
        try:
            trust = ssl.create_default_context(cafile=settings.ca)
        except (ssl.SSLError, OSError) as error:
            raise UsageError(f"frigate: ca {settings.ca}: not a usable certificate: {error}") from None
        base = address.copy_with(username=None, password=None)
        # ignore proxies from the environment: connect exactly where the user said
        self._client = httpx.Client(base_url=base, verify=trust, timeout=_TIMEOUT, trust_env=False)

    def wants(self, payload: EventMessage, now: float) -> bool:  # noqa: ARG002 -- the courier's protocol
        """The begin and end of alarms, tests included."""
        return payload.label == "anomaly" and payload.type in ("new", "end")

    def worth(self, payload: EventMessage) -> float:
        return _NEW_WORTH if payload.type == "new" else _END_WORTH

    def deliver(self, payload: EventMessage) -> None:
        """Create or end its event. Raises UndeliveredError."""
        camera = self._settings.cameras.get(payload.camera, payload.camera)
        if payload.type == "new":
            self._create(camera, payload)
            return
        known = self._open.pop(payload.id, None)
        self._looked.discard(camera)  # until it has ended, by this attempt or another
        if known is not None:
            self._end(known, payload.end_time)
        else:  # begun before a restart, Frigate's response was lost, or an earlier attempt failed
            self._end_left_over(camera, payload.end_time)
        self._looked.add(camera)

    def probe(self) -> str:
        """Frigate's version. Raises UndeliveredError."""
        return self._call("GET", "/api/version").text.strip()[:40]

    def close(self) -> None:
        self._client.close()

    def _create(self, camera: str, payload: EventMessage) -> None:
        if camera not in self._looked:
            self._end_left_over(camera, None)
        self._looked.discard(camera)  # until the response arrives: without it the event may have been created anyway
        label, sub_label = self._settings.label, self._settings.sub_label
        answer = self._call(
            "POST",
            f"/api/events/{quote(camera, safe='')}/{quote(label, safe='')}/create",
            {
                "sub_label": f"{sub_label} test" if payload.test else sub_label,
                "score": payload.score,
                "duration": None,
                "include_recording": True,
            },
        )
        created = _json(answer)
        if not isinstance(created, dict) or not isinstance(created.get("event_id"), str):
            raise UndeliveredError("the response contains no event id", lasting=True)
        self._open[payload.id] = created["event_id"]
        self._looked.add(camera)

    def _end(self, event_id: str, at: float | None) -> None:
        self._call("PUT", f"/api/events/{quote(event_id, safe='')}/end", {} if at is None else {"end_time": at}, (404,))

    def _end_left_over(self, camera: str, at: float | None) -> None:
        """End open events with our label that we do not know."""
        wanted = {"cameras": camera, "labels": self._settings.label, "in_progress": 1, "limit": 100}
        found = _json(self._call("GET", "/api/events", query=wanted))
        known = set(self._open.values())
        for event in found if isinstance(found, list) else ():
            ours = event.get("camera") == camera and event.get("label") == self._settings.label
            if ours and event.get("end_time") is None and event.get("id") not in known:
                self._end(str(event["id"]), at)

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        also_fine: tuple[int, ...] = (),
        query: dict[str, Any] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body, params=query)
            if answer.status_code == httpx.codes.UNAUTHORIZED and self._login is not None:
                self._client.post("/api/login", json=self._login)  # returns a cookie, which expires some day
                answer = self._client.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:  # its text may contain the address
            raise UndeliveredError(f"no response ({type(error).__name__})") from None
        if answer.is_success or answer.status_code in also_fine:
            return answer
        # a busy or restarting server may recover; a refused request would be refused again
        lasting = answer.status_code < 500 and answer.status_code not in (401, 403, 408, 429)
        raise UndeliveredError(f"{method} {path} refused: {answer.status_code} {answer.reason_phrase}", lasting=lasting)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise UndeliveredError("the response is not JSON; check Frigate's address", lasting=True) from None
