"""What is known of the nodes on a broker. Pure, and bounded, because anybody may publish on a broker."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from stream.base.addresses import name_problem
from stream.base.foreign_json import foreign_json

MOST_NODES: Final = 500
MOST_CAMERAS: Final = 1_000
MOST_ALARMS: Final = 200
_LONGEST: Final = 100_000
_LONGEST_TEXT: Final = 300
_LATEST: Final = 1e11  # epoch time that a browser can show
_SHOWN: Final = (
    "id",
    "camera",
    "label",
    "kind",
    "severity",
    "test",
    "start_time",
    "end_time",
    "top_score",
    "acknowledged",
)
_OF_CAMERA: Final = {"status": "status", "anomaly": "anomaly", "problem": "problem", "snooze/state": "snooze"}
_OF_NODE: Final = {"available": "available", "mode/state": "mode"}


@dataclass
class Node:
    """An instance: what its `node` topic says, and the last state of each of its cameras."""

    name: str
    version: str
    page: str | None
    state: dict[str, str] = field(default_factory=dict)
    cameras: dict[str, dict[str, str]] = field(default_factory=dict)


class Board:
    """`take` is given every message; `as_json` is what the page shows."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}  # by prefix
        self._alarms: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()  # by prefix and id

    def take(self, topic: str, payload: bytes) -> list[str]:
        """Returns the topics of a node that was not known before, which are to be subscribed to."""
        if len(payload) > _LONGEST:
            return []
        if topic.endswith("/node"):
            return self._take_node(topic.removesuffix("/node"), payload)
        prefix = next((p for p in sorted(self._nodes, key=len, reverse=True) if topic.startswith(f"{p}/")), None)
        if prefix is None:
            return []
        node, rest = self._nodes[prefix], topic.removeprefix(f"{prefix}/")
        if rest == "events":
            self._take_event(prefix, node, payload)
        elif rest in _OF_NODE:
            node.state[_OF_NODE[rest]] = _text(payload)
        else:
            camera, _, word = rest.partition("/")
            if camera in node.cameras and word in _OF_CAMERA:
                text = _text(payload)
                node.cameras[camera][_OF_CAMERA[word]] = "" if (word, text) == ("problem", "none") else text
        return []

    def _take_node(self, prefix: str, payload: bytes) -> list[str]:
        if not payload:  # it is gone for good
            self._nodes.pop(prefix, None)
            return []
        told = _object(payload)
        names = told.get("cameras")
        if not isinstance(told.get("node"), str) or not isinstance(names, list):
            return []
        cameras = [name for name in names[:MOST_CAMERAS] if isinstance(name, str) and not name_problem(name)]
        known = self._nodes.get(prefix)
        if known is None and len(self._nodes) >= MOST_NODES:
            return []
        before = {} if known is None else known.cameras
        self._nodes[prefix] = Node(
            told["node"][:_LONGEST_TEXT],
            str(told.get("version", ""))[:40],
            _page(told.get("page")),
            {} if known is None else known.state,
            {name: before.get(name, {}) for name in cameras},
        )
        return [] if known is not None else topics_of(prefix)

    def _take_event(self, prefix: str, node: Node, payload: bytes) -> None:
        event = _object(payload)
        camera = event.get("camera")
        if not isinstance(event.get("id"), str) or not isinstance(camera, str) or camera not in node.cameras:
            return
        key = (prefix, event["id"][:64])
        if key not in self._alarms and event.get("severity") == "notice":
            return
        shown = {name: event.get(name) for name in _SHOWN}
        times = (shown["start_time"], shown["end_time"] or 0.0)
        if not all(isinstance(time, int | float) and 0 <= time < _LATEST for time in times):
            return
        if len(json.dumps(shown)) > _LONGEST_TEXT * 5:
            return
        self._alarms[key] = {**shown, "prefix": prefix, "node": node.name}
        while len(self._alarms) > MOST_ALARMS:
            self._alarms.popitem(last=False)

    def knows(self, prefix: str, camera: str, event_id: str) -> bool:
        """Whether this alarm of this camera is on the board."""
        return self._alarms.get((prefix, event_id), {}).get("camera") == camera

    def as_json(self) -> dict[str, Any]:
        """Nodes by name, alarms newest first."""
        nodes = [
            {
                "prefix": prefix, "name": node.name, "version": node.version, "page": node.page, **node.state,
                "cameras": [{"name": name, **state} for name, state in sorted(node.cameras.items())],
            }
            for prefix, node in sorted(self._nodes.items(), key=lambda item: (item[1].name, item[0]))
        ]  # fmt: skip
        alarms = sorted(self._alarms.values(), key=lambda alarm: -alarm["start_time"])
        return {"nodes": nodes, "alarms": alarms}


def topics_of(prefix: str) -> list[str]:
    """The topics of a node that are shown."""
    own = [f"{prefix}/{word}" for word in (*_OF_NODE, "events")]
    return own + [f"{prefix}/+/{word}" for word in _OF_CAMERA]


def _object(payload: bytes) -> dict[str, Any]:
    try:
        found = foreign_json(payload, finite=True)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace")[:_LONGEST_TEXT]


def _page(address: object) -> str | None:
    """The address of a page; None for anything else, such as javascript:."""
    try:
        fine = (
            isinstance(address, str) and urlsplit(address).scheme in ("http", "https") and len(address) < _LONGEST_TEXT
        )
    except ValueError:
        fine = False
    return str(address) if fine else None
