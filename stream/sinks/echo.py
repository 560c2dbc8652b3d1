"""Checks whether published messages come back from the broker, because an acknowledgement alone proves nothing.

The sink registers what it publishes, and the listener what it receives. If a message does not come back in time, its
topic has failed; but if nothing at all comes back, or the broker reported that it accepted the message, this account
may simply lack the right to read, and delivery is unproven. Pure: times are passed in, in seconds of a monotonic clock.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from stream.base.foreign_json import foreign_json
from stream.sinks.topics import CAMERA, SITE

PATIENCE: Final = 10.0  # seconds
DROPPED: Final = "the broker drops the connection because of it"
NOT_BACK: Final = "published, but does not come back from the broker"


class Proof(StrEnum):
    """What is known about delivery."""

    WAITING = "waiting"  # nothing was published yet
    PROVEN = "proven"
    UNPROVEN = "unproven"
    FAILED = "failed"


@dataclass
class _Topic:
    proof: Proof = Proof.WAITING
    reason: str = ""
    retained: str | None = None  # the payload that the broker should retain
    expected: dict[str, float] = field(default_factory=dict)  # published, not received yet, with the time
    accepted: bool = False  # the broker reported that it accepted a message


class EchoWatch:
    """Thread-safe. The lock is held only briefly, and never while other code is called."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._topics: dict[str, _Topic] = {}
        self._listening = self._any_received = False
        self._scores = True  # whether the listener is subscribed to them
        self._reported: set[str] = set()  # failed topics that `changes` has returned

    def topics(self) -> list[str]:
        """What the listener must subscribe to: all published topics below the prefix, except (large) images."""
        return [f"{self._prefix}/{name}" for name in (*SITE, "events", *(f"+/{each}" for each in CAMERA))]

    def _covers(self, name: str) -> bool:
        ignored = ("/snapshot", "/slow") if self._scores else ("/snapshot", "/slow", "/score")
        return name.startswith(f"{self._prefix}/") and not name.endswith(ignored)

    def listening(self, now: float) -> None:
        """The listener is subscribed: expect messages that are published from now on, and retained ones."""
        with self._lock:
            self._listening = self._scores = True
            for topic in self._topics.values():
                topic.expected = {} if topic.retained is None else {topic.retained: now}

    def not_listening(self) -> None:
        """The listener has lost the broker."""
        with self._lock:
            self._listening = False

    def ignore_scores(self) -> None:
        """The listener receives no more scores on this connection, because there are many."""
        with self._lock:
            self._scores = False
            for name, topic in self._topics.items():
                if name.endswith("/score"):
                    topic.expected.clear()

    def restart(self) -> None:
        """Expect nothing of what was published so far: the sink has lost the broker, or the listener is behind."""
        with self._lock:
            for topic in self._topics.values():
                topic.expected.clear()

    def expect(self, name: str, key: str, now: float, *, retained: bool = False) -> None:
        """A message was published; `key` identifies it, for a retained message its payload."""
        if not self._covers(name):
            return
        with self._lock:
            if retained and not key:  # the topic is emptied
                self._topics.pop(name, None)
                return
            topic = self._topics.setdefault(name, _Topic())
            topic.retained = key if retained else None
            if self._listening:
                topic.expected.setdefault(key, now)

    def not_sent(self, name: str, key: str) -> None:
        """A message that was expected was not published after all."""
        with self._lock:
            if (topic := self._topics.get(name)) is not None:
                topic.expected.pop(key, None)

    def accepted(self, name: str) -> None:
        """The broker reported that it accepted a message on this topic."""
        with self._lock:
            topic = self._topics.setdefault(name, _Topic())
            topic.accepted = True
            if topic.proof is Proof.FAILED:
                topic.proof, topic.reason = Proof.WAITING, ""

    def refused(self, name: str, reason: str) -> None:
        """The broker refused a message on this topic."""
        with self._lock:
            topic = self._topics.setdefault(name, _Topic())
            topic.proof, topic.reason, topic.accepted = Proof.FAILED, reason, False
            topic.expected.clear()

    def received(self, name: str, key: str) -> None:
        """A message came back."""
        with self._lock:
            topic = self._topics.get(name)
            if topic is None or topic.expected.pop(key, None) is None:
                return
            topic.proof, topic.reason, self._any_received = Proof.PROVEN, "", True

    def changes(self, now: float) -> list[tuple[str, str]]:
        """Topics that have failed (with the reason) or recovered (with "") since the last call."""
        changed = []
        with self._lock:
            for name, topic in self._topics.items():
                if self._listening and topic.expected and now - min(topic.expected.values()) > PATIENCE:
                    topic.expected.clear()
                    lost = self._any_received and not topic.accepted
                    topic.proof, topic.reason = (Proof.FAILED, NOT_BACK) if lost else (Proof.UNPROVEN, "")
                if topic.proof is Proof.FAILED and name not in self._reported:
                    self._reported.add(name)
                    changed.append((name, topic.reason))
                elif topic.proof is Proof.PROVEN and name in self._reported:
                    self._reported.discard(name)
                    changed.append((name, ""))
        return changed

    def failed(self) -> dict[str, str]:
        """The failed topics, each with the reason."""
        with self._lock:
            return {name: topic.reason for name, topic in self._topics.items() if topic.proof is Proof.FAILED}

    def proof(self) -> Proof:
        """The overall result: the worst of all topics."""
        with self._lock:
            found = {topic.proof for topic in self._topics.values()}
        for proof in (Proof.FAILED, Proof.UNPROVEN, Proof.PROVEN):
            if proof in found:
                return proof
        return Proof.WAITING


def event_key(event_id: object, seq: object) -> str:
    """Identifies a message of an event."""
    return f"{event_id} {seq}"


def event_key_of(payload: bytes) -> str:
    """`event_key` of a received message; "" if it is not an event."""
    try:
        told = foreign_json(payload)
    except ValueError:
        return ""
    return event_key(told.get("id"), told.get("seq")) if isinstance(told, dict) else ""
