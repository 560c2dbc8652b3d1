"""Event messages waiting for the broker: sent in order, one at a time, each acknowledged before the next. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import LIMIT, Outbox, Waiting

_REFUSED_PAUSE: Final = 15.0
_LONGEST_PAUSE: Final = 600.0
_TRIES: Final = 2


class EventQueue:
    """Not thread-safe; times are steady. `lost` is called for each message that the outbox discards."""

    def __init__(self, lost: Callable[[Waiting], None], limit: int = LIMIT) -> None:
        self.lost = 0
        self._lost = lost
        self._outbox = Outbox(limit)
        self._in_flight: tuple[Waiting, EventMessage] | None = None
        self._not_before = float("-inf")
        self._broke = 0  # how often the connection broke while only an event was in flight

    def __len__(self) -> int:
        """Number of messages that the broker has not acknowledged."""
        return len(self._outbox) + (self._in_flight is not None)

    def put(self, message: Waiting) -> None:
        """Append a message."""
        if (given_up := self._outbox.put(message)) is not None:
            self._give_up(given_up)

    def next(self, now: float) -> Waiting | None:
        """The next message to send, or None while one is in flight. The caller then calls `sent`."""
        for late in self._outbox.expire(now):
            self._give_up(late)
        if self._in_flight is not None or not len(self._outbox) or now < self._not_before:
            return None
        return self._outbox.take()

    @property
    def held_up(self) -> bool:
        """Whether the queue waits because the broker refused a message."""
        return self._not_before > float("-inf") and self._in_flight is None

    @property
    def in_flight(self) -> bool:
        return self._in_flight is not None

    def sent(self, message: Waiting, said: EventMessage) -> None:
        """It was sent as `said`."""
        self._in_flight = (message, said)

    def acknowledged(self) -> tuple[Waiting, EventMessage]:
        """The broker has the message in flight."""
        assert self._in_flight is not None  # noqa: S101 -- only called for one
        found, self._in_flight, self._not_before, self._broke = self._in_flight, None, float("-inf"), 0
        return found

    def refused(self, now: float) -> None:
        """The broker refused the message in flight. It is tried again later; the others wait."""
        self.requeue()
        self._not_before = now + _REFUSED_PAUSE

    def blame(self, now: float) -> bool:
        """The connection broke while only an event was in flight. Returns whether the queue pauses because of that."""
        self._broke += 1
        if self._broke < _TRIES:
            return False
        self.requeue()
        self._not_before = now + min(_LONGEST_PAUSE, _REFUSED_PAUSE * 2.0 ** min(10, self._broke - _TRIES))
        return True

    def requeue(self) -> None:
        """The message in flight may not have arrived: it goes back to the front."""
        if self._in_flight is not None:
            self._outbox.put_back(self._in_flight[0])
            self._in_flight = None

    def connected(self) -> None:
        """End the pause, unless events keep breaking the connection."""
        if self._broke < _TRIES:
            self._not_before = float("-inf")

    def _give_up(self, message: Waiting) -> None:
        self.lost += 1
        self._lost(message)
