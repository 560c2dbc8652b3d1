"""Whether what is published comes back from the broker: an acknowledgement alone proves nothing. Pure: times come in.

The sink notes what it hands over, the listener what it hears. A topic whose message does not come back in time has
failed, unless nothing at all comes back, or the broker said that it let the message through: then this account may not
read there, and delivery is unproven.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PATIENCE: Final = 10.0  # seconds
NOT_BACK: Final = "published, but does not come back from the broker"


class Proof(StrEnum):
    """What is known of delivery."""

    WAITING = "waiting"
    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAILED = "failed"


@dataclass
class _Topic:
    proof: Proof = Proof.WAITING
    reason: str = ""
    state: str | None = None  # what the broker is to keep under it
    expected: dict[str, float] = field(default_factory=dict)  # what has not been heard yet, and since when
    let_through: bool = False  # the broker said so


class EchoWatch:
    """Any thread; it holds its lock for microseconds and calls nobody."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._topics: dict[str, _Topic] = {}
        self._listening = self._heard_any = False
        self._scores = True  # whether the listener hears of them
        self._told: set[str] = set()  # topics that were reported

    def topics(self) -> list[str]:
        """What the listener is to subscribe to: all that is said below our prefix but pictures, which are large."""
        own = ("available", "events", "stats", "self_test")
        each = ("available", "status", "problem", "anomaly", "score", "enabled/state", "threshold/state",
                "calibration/state")  # fmt: skip
        return [f"{self._prefix}/{name}" for name in own] + [f"{self._prefix}/+/{name}" for name in each]

    def _covers(self, name: str) -> bool:
        unheard = ("/snapshot", "/slow") if self._scores else ("/snapshot", "/slow", "/score")
        return name.startswith(f"{self._prefix}/") and not name.endswith(unheard)

    def listening(self, now: float) -> None:
        """The listener is subscribed: what is handed over from now on should come back, and what the broker keeps."""
        with self._lock:
            self._listening = self._scores = True
            for topic in self._topics.values():
                topic.expected = {} if topic.state is None else {topic.state: now}

    def enough_scores(self) -> None:
        """The listener hears no more of them on this connection: they are many."""
        with self._lock:
            self._scores = False
            for name, topic in self._topics.items():
                if name.endswith("/score"):
                    topic.expected.clear()

    def deaf(self) -> None:
        """The listener has lost the broker, or cannot keep up: what is under way proves nothing."""
        with self._lock:
            self._listening = False

    def late(self) -> None:
        """The listener does not keep up just now: what has not been heard so far may still come."""
        with self._lock:
            for topic in self._topics.values():
                topic.expected.clear()

    def interrupted(self) -> None:
        """The sink has lost the broker: what is under way is sent again."""
        self.late()

    def expect(self, name: str, key: str, now: float, *, kept: bool = False) -> None:
        """A message, known by `key`, is handed over; `kept`: the broker is to keep it, and it goes by its payload."""
        if not self._covers(name):
            return
        with self._lock:
            if kept and not key:  # emptied
                self._topics.pop(name, None)
                return
            topic = self._topics.setdefault(name, _Topic())
            topic.state = key if kept else None
            if self._listening:
                topic.expected.setdefault(key, now)

    def let_through(self, name: str) -> None:
        """The broker said that it let a message on this topic through."""
        with self._lock:
            topic = self._topics.setdefault(name, _Topic())
            topic.let_through = True
            if topic.proof is Proof.FAILED:
                topic.proof, topic.reason = Proof.WAITING, ""

    def refused(self, name: str, reason: str) -> None:
        """The broker said that it did not."""
        with self._lock:
            topic = self._topics.setdefault(name, _Topic())
            topic.proof, topic.reason, topic.let_through = Proof.FAILED, reason, False
            topic.expected.clear()

    def heard(self, name: str, key: str) -> None:
        """A message of ours, or of another with our topics, has come."""
        with self._lock:
            topic = self._topics.get(name)
            if topic is None or topic.expected.pop(key, None) is None:
                return
            topic.proof, topic.reason, self._heard_any = Proof.PROVEN, "", True

    def look(self, now: float) -> list[tuple[str, str]]:
        """Topics whose state has changed for the worse, or back, since the last look, each with its reason or ""."""
        changed = []
        with self._lock:
            for name, topic in self._topics.items():
                if self._listening and topic.expected and now - min(topic.expected.values()) > PATIENCE:
                    topic.expected.clear()
                    lost = self._heard_any and not topic.let_through
                    topic.proof, topic.reason = (Proof.FAILED, NOT_BACK) if lost else (Proof.UNPROVEN, "")
                if topic.proof is Proof.FAILED and name not in self._told:
                    self._told.add(name)
                    changed.append((name, topic.reason))
                elif topic.proof is Proof.PROVEN and name in self._told:
                    self._told.discard(name)
                    changed.append((name, ""))
        return changed

    def failed(self) -> dict[str, str]:
        """Each topic that does not get through, and why."""
        with self._lock:
            return {name: topic.reason for name, topic in self._topics.items() if topic.proof is Proof.FAILED}

    def proof(self) -> Proof:
        """Of all topics together."""
        with self._lock:
            found = {topic.proof for topic in self._topics.values()}
        for proof in (Proof.FAILED, Proof.UNPROVEN, Proof.PROVEN):
            if proof in found:
                return proof
        return Proof.WAITING


def event_key(event_id: object, seq: object) -> str:
    """By what a message of an event is known when it comes back."""
    return f"{event_id} {seq}"


def event_key_of(payload: bytes) -> str:
    """The same, of a message that has come; "" of what is none."""
    try:
        told = json.loads(payload)
    except ValueError:
        return ""
    return event_key(told.get("id"), told.get("seq")) if isinstance(told, dict) else ""
