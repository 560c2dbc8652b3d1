"""Retained messages by topic, except images. Published again on every connection. Pure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

_TRIES: Final = 2
_SKIPPED_FOR: Final = 3_600.0  # seconds
AT_ONCE: Final = 10  # in flight, so that a new event does not wait behind hundreds of states


class RetainedStates:
    """Not thread-safe. `allowed` says whether a topic may be published at this moment; until it may, it waits."""

    def __init__(self, allowed: Callable[[str], bool] = lambda _topic: True) -> None:
        self._allowed = allowed
        self._states: dict[str, str] = {}
        self._unpublished: dict[str, None] = {}  # topics that have not been published, in order
        self._in_flight: set[str] = set()
        self._gone: set[str] = set()
        self._broke: dict[str, int] = {}  # how often the connection broke while only this topic was in flight
        self._skipped: dict[str, float] = {}  # topics that broke it too often, and until when they are skipped

    def topics(self) -> list[str]:
        """Topics in use."""
        return [topic for topic in self._states if topic not in self._gone]

    @property
    def settled(self) -> bool:
        """Whether the broker has acknowledged everything."""
        return not self._in_flight and not any(map(self._allowed, self._unpublished))

    def set(self, topic: str, payload: str) -> bool:
        """Set the payload of a topic; "" empties it. Returns whether the topic was empty before."""
        before = self._states.get(topic)
        if payload:
            self._gone.discard(topic)
        if before != payload:
            self._states[topic] = payload
            self._unpublished[topic] = None
        return bool(payload) and not before

    def remove(self, topic: str) -> None:
        """Empty the topic and stop using it."""
        self._gone.add(topic)
        self.set(topic, "")

    def forget(self, topic: str) -> None:
        """Stop using the topic without emptying it."""
        self._gone.discard(topic)
        self._states.pop(topic, None)
        self._unpublished.pop(topic, None)

    def refresh(self, topic: str) -> None:
        """Publish the topic again, if it is in use."""
        if topic in self._states:
            self._unpublished[topic] = None

    def publish_again(self, *, outside: str = "") -> None:
        """Publish all states again; with `outside`, only those whose topic does not start with that."""
        self._unpublished |= dict.fromkeys(t for t in self._states if not (outside and t.startswith(outside)))

    @property
    def in_flight(self) -> bool:
        return bool(self._in_flight)

    def next(self, now: float, at_once: int = AT_ONCE) -> dict[str, str]:
        """The states to publish now. A new payload waits until the previous one on its topic is acknowledged."""
        for topic in [topic for topic, until in self._skipped.items() if now >= until]:
            del self._skipped[topic]
        for topic in [topic for topic in self._unpublished if topic in self._skipped]:
            del self._unpublished[topic]
        room = at_once - len(self._in_flight)
        waiting = (topic for topic in self._unpublished if topic not in self._in_flight and self._allowed(topic))
        found = list(islice(waiting, max(0, room)))
        for topic in found:
            del self._unpublished[topic]
            self._in_flight.add(topic)
        return {topic: self._states[topic] for topic in found}

    def acknowledged(self, topic: str) -> bool:
        """The broker has it. Returns whether the topic is now empty and no longer in use."""
        self._in_flight.discard(topic)
        self._broke.pop(topic, None)
        emptied = topic in self._gone and topic not in self._unpublished
        if emptied:
            self.forget(topic)
        return emptied

    def blame(self, now: float) -> str:
        """The connection broke while only one topic was in flight. Returns the topic if it is skipped from now on."""
        for topic in self._in_flight:
            self._broke[topic] = self._broke.get(topic, 0) + 1
            if self._broke[topic] >= _TRIES:
                del self._broke[topic]
                self._skipped[topic] = now + _SKIPPED_FOR
                return topic
        return ""

    def connection_lost(self) -> None:
        """States in flight may not have arrived: publish everything again."""
        self._in_flight.clear()
        self.publish_again()
