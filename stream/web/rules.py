"""What a person may see and change: one rule for each route. A route without a rule is for operators of all cameras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Final, NoReturn

from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection

from stream.web.access import person_of

_POLICY_VIOLATION: Final = 1008  # RFC 6455
_READS: Final = ("GET", "HEAD")


class Rule(Enum):
    """Whom a route answers. Whatever is not a GET is for operators only."""

    EVERYBODY = auto()  # says nothing of any camera
    FILTERED = auto()  # leaves out the cameras that the person does not see
    CAMERA = auto()  # the camera in its path or query
    EVENT = auto()  # the camera of the event in its path
    OPERATORS = auto()  # FILTERED, and for operators only
    OPERATORS_OF_CAMERA = auto()  # CAMERA, and for operators only
    OPERATORS_OF_ALL = auto()  # only for operators who see all cameras


RULES: Final[Mapping[str, Rule]] = {
    "/": Rule.EVERYBODY,
    "/page/{name}": Rule.EVERYBODY,
    "/readyz": Rule.EVERYBODY,
    "/healthz": Rule.FILTERED,
    "/metrics": Rule.FILTERED,
    "/api/state": Rule.FILTERED,
    "/api/stream": Rule.FILTERED,
    "/api/events": Rule.FILTERED,
    "/api/audit": Rule.OPERATORS,
    "/api/mode": Rule.OPERATORS_OF_ALL,
    "/api/modes": Rule.OPERATORS_OF_ALL,
    "/api/search": Rule.OPERATORS_OF_ALL,
    "/api/search/add": Rule.OPERATORS_OF_ALL,
    "/api/search/{number}/picture.jpg": Rule.OPERATORS_OF_ALL,
    "/api/scores": Rule.CAMERA,
    "/api/what-if": Rule.CAMERA,
    "/api/suggestion": Rule.CAMERA,
    "/api/cameras/{camera}/picture.jpg": Rule.CAMERA,
    "/api/cameras/{camera}/live.mjpeg": Rule.CAMERA,
    "/api/cameras/{camera}/line": Rule.CAMERA,
    "/api/cameras/{camera}/view": Rule.CAMERA,
    "/api/cameras/{camera}/frame.jpg": Rule.OPERATORS_OF_CAMERA,  # without masks
    "/api/cameras/{camera}/budget": Rule.CAMERA,
    "/api/cameras/{camera}/threshold": Rule.CAMERA,
    "/api/cameras/{camera}/enabled": Rule.CAMERA,
    "/api/cameras/{camera}/snooze": Rule.CAMERA,
    "/api/cameras/{camera}/test": Rule.CAMERA,
    "/api/events/{event_id}": Rule.EVENT,
    "/api/events/{event_id}/strip.jpg": Rule.EVENT,
    "/api/events/{event_id}/heat.json": Rule.EVENT,
    "/api/events/{event_id}/heat.jpg": Rule.EVENT,
    "/api/events/{event_id}/thumbnail.jpg": Rule.EVENT,
    "/api/events/{event_id}/snapshot.jpg": Rule.EVENT,
    "/api/events/{event_id}/clip.mp4": Rule.EVENT,
    "/api/events/{event_id}/verdict": Rule.EVENT,
    "/api/events/{event_id}/ack": Rule.EVENT,
    "/api/events/{event_id}/answer/{by}/{code}": Rule.EVERYBODY,  # who has the code may acknowledge this event
}


_FOR_OPERATORS: Final = (None, Rule.OPERATORS, Rule.OPERATORS_OF_CAMERA, Rule.OPERATORS_OF_ALL)


class Admission:
    """`camera_of` finds the camera of an event, None for an unknown one. `admit` is a dependency of every route."""

    def __init__(self, camera_of: Callable[[str], str | None]) -> None:
        self._camera_of = camera_of

    def admit(self, request: HTTPConnection) -> None:
        """Raises HTTPException 403 for what a person may not do, and 404 for what they may not know of."""
        person, rule = person_of(request), RULES.get(request.scope["route"].path)
        changes = request.scope.get("method") not in _READS
        if not person.operator and (changes or rule in _FOR_OPERATORS):
            _refuse(request, 403, "only operators may do this")
        if person.cameras is None:
            return
        given, query = request.path_params, request.query_params
        if rule in (Rule.CAMERA, Rule.OPERATORS_OF_CAMERA):
            cameras = [given["camera"]] if "camera" in given else query.getlist("camera")
            if not all(map(person.sees, cameras)):
                _refuse(request, 404, "no such camera")
        elif rule is Rule.EVENT:
            camera = self._camera_of(given["event_id"])
            if camera is None or not person.sees(camera):
                _refuse(request, 404, "no such event")
        elif rule in (None, Rule.OPERATORS_OF_ALL):
            _refuse(request, 403, "only for those who see all cameras")


def _refuse(request: HTTPConnection, status: int, why: str) -> NoReturn:
    if request.scope["type"] == "websocket":
        raise WebSocketException(_POLICY_VIOLATION, why)
    raise HTTPException(status, why)
