"""What the broker is to keep of us, by topic: said again on every connection, the last word on each topic. Pure."""

from __future__ import annotations

from typing import Final

_TRIES: Final = 2
_LEFT_OUT_FOR: Final = 3_600.0  # seconds
AT_ONCE: Final = 10  # so that an event that comes meanwhile does not wait behind hundreds of them


class RetainedStates:
    """Small messages; pictures have a line of their own. The caller guards it."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._unsaid: dict[str, None] = {}  # topics that the broker has not heard; in order
        self._under_way: set[str] = set()
        self._gone: set[str] = set()
        self._broke: dict[str, int] = {}  # how often the connection broke while a topic alone was under way
        self._left_out: dict[str, float] = {}  # topics that broke it too often, until when

    def topics(self) -> list[str]:
        """Those that are to last."""
        return [topic for topic in self._states if topic not in self._gone]

    @property
    def settled(self) -> bool:
        """Whether the broker has acknowledged all."""
        return not (self._unsaid or self._under_way)

    def set(self, topic: str, payload: str) -> bool:
        """Returns whether the broker keeps a message under this topic from now on that it did not."""
        before = self._states.get(topic)
        if payload:
            self._gone.discard(topic)
        if before != payload:
            self._states[topic] = payload
            self._unsaid[topic] = None
        return bool(payload) and not before

    def remove(self, topic: str) -> None:
        """Empty what the broker keeps under it."""
        self._gone.add(topic)
        self.set(topic, "")

    def forget(self, topic: str) -> None:
        """It is not a state any more."""
        self._gone.discard(topic)
        self._states.pop(topic, None)
        self._unsaid.pop(topic, None)

    def say_again(self, *, outside: str = "") -> None:
        """Say every one again; with `outside`, those that are not below that prefix."""
        self._unsaid |= dict.fromkeys(t for t in self._states if not (outside and t.startswith(outside)))

    @property
    def under_way(self) -> bool:
        return bool(self._under_way)

    def next(self, now: float, at_once: int = AT_ONCE) -> dict[str, str]:
        """What is to be handed over now. The last word on a topic waits for the one before it."""
        for topic in [topic for topic, until in self._left_out.items() if now >= until]:
            del self._left_out[topic]
        for topic in [topic for topic in self._unsaid if topic in self._left_out]:
            del self._unsaid[topic]
        room = at_once - len(self._under_way)
        found = [topic for topic in self._unsaid if topic not in self._under_way][: max(0, room)]
        for topic in found:
            del self._unsaid[topic]
            self._under_way.add(topic)
        return {topic: self._states[topic] for topic in found}

    def acknowledged(self, topic: str) -> bool:
        """The broker has it; returns whether it keeps nothing under that topic any more."""
        self._under_way.discard(topic)
        self._broke.pop(topic, None)
        return topic in self._gone and topic not in self._unsaid

    def blame(self, now: float) -> str:
        """The connection broke while one topic alone was under way; returns it if it is left out from now on."""
        for topic in self._under_way:
            self._broke[topic] = self._broke.get(topic, 0) + 1
            if self._broke[topic] >= _TRIES:
                del self._broke[topic]
                self._left_out[topic] = now + _LEFT_OUT_FOR
                return topic
        return ""

    def connection_lost(self) -> None:
        """What was under way may not have arrived."""
        self._under_way.clear()
        self.say_again()
