"""The workers of one node, where several share its cameras: who is there, and who has which camera. Pure, bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stream.base.addresses import name_problem
from stream.desk.payloads import LONGEST_TEXT, as_object, as_page, as_text

MOST_CAMERAS: Final = 1_000
_MOST_LABELS: Final = 20
TOPICS: Final = ("worker/+/available", "worker/+/node")


@dataclass(frozen=True)
class Claim:
    """A worker says that it has a camera, under the lease with this fence, and why (`stream.cluster.standing`)."""

    fence: int
    why: Mapping[str, Any]


@dataclass
class Worker:
    """`told`: what its `node` topic says, without cameras; those are in `claims`."""

    available: bool = False
    told: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """`up`, `draining` or `down`."""
        return "down" if not self.available else "draining" if self.told.get("draining") else "up"


class Workers:
    """Empty for an instance that is alone."""

    def __init__(self) -> None:
        self._found: dict[str, Worker] = {}

    def __len__(self) -> int:
        return len(self._found)

    def take(self, name: str, word: str, payload: bytes, *, room: bool) -> None:
        """A message on `worker/<name>/<word>`; an empty `node` removes the worker. `room`: for one more."""
        if name not in self._found and not (payload and room and len(name) < LONGEST_TEXT):
            return
        if word == "available":
            worker = self._found.setdefault(name, Worker())
            worker.available = as_text(payload) == "online"
        elif word == "node" and not payload:
            del self._found[name]
        elif word == "node" and (told := as_object(payload)):
            worker = self._found.setdefault(name, Worker())
            worker.told, worker.claims = _worker(told), _claims(told.get("cameras"))

    def _shown(self) -> dict[str, Worker]:
        """Without those that are down and were of an earlier cluster, such as with another number of shards."""
        known = {name: worker for name, worker in sorted(self._found.items()) if worker.told}
        clusters = {worker.told["cluster"] for worker in known.values() if worker.available}
        return {
            name: worker
            for name, worker in known.items()
            if worker.available or not clusters or worker.told["cluster"] in clusters
        }

    def owners(self) -> dict[str, tuple[str, Claim]]:
        """The worker that has each camera: the one with the highest fence, unless it is down."""
        highest: dict[str, tuple[str, Claim]] = {}
        for name, worker in self._found.items():
            for camera, claim in worker.claims.items():
                if camera not in highest or claim.fence > highest[camera][1].fence:
                    highest[camera] = (name, claim)
        return {camera: found for camera, found in highest.items() if self._found[found[0]].available}

    def holder(self, camera: str, fence: object) -> str | None:
        """The worker that has or had the camera under this fence; None if that is not known."""
        for name, worker in self._found.items():
            if camera in worker.claims and worker.claims[camera].fence == fence:
                return name
        return None

    def page(self, name: str | None) -> str | None:
        """The address of a worker's page, if it is known."""
        found = self._found.get(name or "")
        return None if found is None else found.told.get("page")

    def as_json(self) -> list[dict[str, Any]]:
        """By name; `cameras` is how many it has."""
        had = Counter(name for name, _ in self.owners().values())
        return [
            {"name": name, "state": worker.state, "cameras": had[name], **worker.told}
            for name, worker in self._shown().items()
        ]


def _worker(told: Mapping[str, Any]) -> dict[str, Any]:
    labels, capacity = told.get("labels"), told.get("capacity")
    return {
        "cluster": str(told.get("cluster", ""))[:LONGEST_TEXT],
        "host": str(told.get("host", ""))[:LONGEST_TEXT],
        "version": str(told.get("version", ""))[:40],
        "page": as_page(told.get("page")),
        "labels": [str(each)[:LONGEST_TEXT] for each in labels[:_MOST_LABELS]] if isinstance(labels, list) else [],
        "capacity": capacity if type(capacity) in (int, float) else None,
        "draining": told.get("draining") is True,
    }


def _claims(told: object) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for camera, why in list(told.items())[:MOST_CAMERAS] if isinstance(told, dict) else ():
        if isinstance(why, dict) and type(why.get("fence")) is int and not name_problem(camera):
            found[camera] = Claim(why["fence"], _why(why))
    return found


def _why(told: Mapping[str, Any]) -> dict[str, Any]:
    needs, target = told.get("needs"), told.get("moves_to")
    found: dict[str, Any] = {key: told[key] for key in ("choice", "of") if type(told.get(key)) is int}
    if isinstance(needs, list) and needs:
        found["needs"] = [str(each)[:LONGEST_TEXT] for each in needs[:_MOST_LABELS]]
    if isinstance(target, str):
        found["moves_to"] = target[:LONGEST_TEXT]
    return found
