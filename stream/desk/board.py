"""What is known of the nodes on a broker. Pure, and bounded, because anybody may publish on a broker."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from stream.base.addresses import name_problem
from stream.desk.payloads import LONGEST, LONGEST_TEXT, as_object, as_page, as_text
from stream.desk.workers import MOST_CAMERAS, TOPICS, Workers

MOST_NODES: Final = 500
MOST_WORKERS: Final = 1_000  # of all nodes
MOST_ALARMS: Final = 200
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
    """An instance, or several that share its cameras: what its `node` topic says, and the last state of each camera."""

    name: str
    version: str
    page: str | None
    state: dict[str, str] = field(default_factory=dict)
    cameras: dict[str, dict[str, str]] = field(default_factory=dict)
    workers: Workers = field(default_factory=Workers)

    def as_json(self, prefix: str) -> dict[str, Any]:
        workers, owners = self.workers.as_json(), self.workers.owners()
        up = (
            any(worker["state"] != "down" for worker in workers) if workers else self.state.get("available") == "online"
        )
        cameras: list[dict[str, Any]] = []
        for name, state in sorted(self.cameras.items()):
            owner = {}
            if workers:
                worker, claim = owners.get(name, (None, None))
                owner = {"worker": worker, **({} if claim is None else {"fence": claim.fence, **claim.why})}
            cameras.append({"name": name, "owned": name in owners if workers else up, **owner, **state})
        return {
            "prefix": prefix, "name": self.name, "version": self.version, "page": self.page, "up": up, **self.state,
            "workers": workers, "cameras": cameras,
        }  # fmt: skip


class Board:
    """`take` is given every message; `as_json` is what the page shows."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}  # by prefix
        self._alarms: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()  # by prefix and id

    def take(self, topic: str, payload: bytes) -> list[str]:
        """Returns the topics of a node that was not known before, which are to be subscribed to."""
        if len(payload) > LONGEST:
            return []
        prefix = next((p for p in sorted(self._nodes, key=len, reverse=True) if topic.startswith(f"{p}/")), None)
        rest = topic.removeprefix(f"{prefix}/")
        of_worker = prefix is not None and rest.startswith("worker/")
        if topic.endswith("/node") and not of_worker:
            return self._take_node(topic.removesuffix("/node"), payload)
        if prefix is None:
            return []
        node = self._nodes[prefix]
        if of_worker:
            room = sum(len(each.workers) for each in self._nodes.values()) < MOST_WORKERS
            worker, _, word = rest.removeprefix("worker/").partition("/")
            node.workers.take(worker, word, payload, room=room)
        elif rest == "events":
            self._take_event(prefix, node, payload)
        elif rest in _OF_NODE:
            node.state[_OF_NODE[rest]] = as_text(payload)
        else:
            camera, _, word = rest.partition("/")
            if camera in node.cameras and word in _OF_CAMERA:
                text = as_text(payload)
                node.cameras[camera][_OF_CAMERA[word]] = "" if (word, text) == ("problem", "none") else text
        return []

    def _take_node(self, prefix: str, payload: bytes) -> list[str]:
        if not payload:  # it is gone for good
            self._nodes.pop(prefix, None)
            return []
        told = as_object(payload)
        names = told.get("cameras")
        if not isinstance(told.get("node"), str) or not isinstance(names, list):
            return []
        cameras = [name for name in names[:MOST_CAMERAS] if isinstance(name, str) and not name_problem(name)]
        known = self._nodes.get(prefix)
        if known is None and len(self._nodes) >= MOST_NODES:
            return []
        before = {} if known is None else known.cameras
        self._nodes[prefix] = Node(
            told["node"][:LONGEST_TEXT],
            str(told.get("version", ""))[:40],
            as_page(told.get("page")),
            {} if known is None else known.state,
            {name: before.get(name, {}) for name in cameras},
            Workers() if known is None else known.workers,
        )
        return [] if known is not None else topics_of(prefix)

    def _take_event(self, prefix: str, node: Node, payload: bytes) -> None:
        event = as_object(payload)
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
        if len(json.dumps(shown)) > LONGEST_TEXT * 5:
            return
        before = self._alarms.get(key, {})
        worker = node.workers.holder(camera, event.get("fence")) or before.get("worker")
        self._alarms[key] = {**shown, "prefix": prefix, "node": node.name, "worker": worker, "fenced": "fence" in event}
        while len(self._alarms) > MOST_ALARMS:
            self._alarms.popitem(last=False)

    def knows(self, prefix: str, camera: str, event_id: str) -> bool:
        """Whether this alarm of this camera is on the board."""
        return self._alarms.get((prefix, event_id), {}).get("camera") == camera

    def as_json(self) -> dict[str, Any]:
        """Nodes by name, alarms newest first."""
        by_name = sorted(self._nodes.items(), key=lambda item: (item[1].name, item[0]))
        nodes = [node.as_json(prefix) for prefix, node in by_name]
        alarms = sorted(self._alarms.values(), key=lambda alarm: -alarm["start_time"])
        return {"nodes": nodes, "alarms": [{**alarm, "page": self._page_of(alarm)} for alarm in alarms]}

    def _page_of(self, alarm: dict[str, Any]) -> str | None:
        """The page that has the images of an alarm: that of the worker that raised it, or else of its node."""
        node = self._nodes.get(alarm["prefix"])
        if node is None:
            return None
        return node.workers.page(alarm["worker"]) if alarm["fenced"] else node.page


def topics_of(prefix: str) -> list[str]:
    """The topics of a node that are shown."""
    own = [f"{prefix}/{word}" for word in (*_OF_NODE, "events", *TOPICS)]
    return own + [f"{prefix}/+/{word}" for word in _OF_CAMERA]
