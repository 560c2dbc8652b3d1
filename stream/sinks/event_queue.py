"""Event messages waiting for the broker: sent in order, one at a time, each acknowledged before the next. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import LIMIT, Outbox, Waiting

_REFUSED_PAUSE: Final = 15.0
_LONGEST_PAUSE: Final = 600.0
_TRIES: Final = 2
AWAY: Final = "the broker has been unreachable for too long"


class EventQueue:
    """Not thread-safe; times are steady. `lost` is called for each message that is discarded, with the reason.

    A message that breaks connections holds up later messages of its camera, and no other camera.
    """

    def __init__(self, lost: Callable[[Waiting, str], None], limit: int = LIMIT) -> None:
        self.lost = 0
        self._lost = lost
        self._outbox = Outbox(limit)
        self._in_flight: tuple[Waiting, EventMessage] | None = None
        self._not_before = float("-inf")
        self._broke: dict[str, int] = {}  # how often only a message of this camera was in flight when it broke
        self._held: dict[str, float] = {}  # cameras whose message broke the connection too often, and until when

    def __len__(self) -> int:
        """Number of messages that the broker has not acknowledged."""
        return len(self._outbox) + (self._in_flight is not None)

    def put(self, message: Waiting) -> None:
        """Append a message."""
        if (given_up := self._outbox.put(message)) is not None:
            self._give_up(given_up, AWAY)

    def next(self, now: float) -> Waiting | None:
        """The next message to send, or None while one is in flight. The caller then calls `sent`."""
        for late in self._outbox.expire(now):
            self._give_up(late, AWAY)
        if self._in_flight is not None or now < self._not_before:
            return None
        return self._outbox.take({camera for camera, until in self._held.items() if now < until})

    @property
    def held_up(self) -> bool:
        """Whether nothing can be sent now, because the broker refused messages."""
        held = bool(self._held) and self._outbox.cameras() <= self._held.keys()
        return (held or self._not_before > float("-inf")) and self._in_flight is None

    @property
    def in_flight(self) -> bool:
        return self._in_flight is not None

    def sent(self, message: Waiting, said: EventMessage) -> None:
        """It was sent as `said`."""
        self._in_flight = (message, said)

    def acknowledged(self) -> tuple[Waiting, EventMessage]:
        """The broker has the message in flight."""
        assert self._in_flight is not None  # noqa: S101 -- only called for one
        found, self._in_flight, self._not_before = self._in_flight, None, float("-inf")
        self._broke.pop(found[0].payload.camera, None)
        self._held.pop(found[0].payload.camera, None)
        return found

    def refused(self, now: float) -> None:
        """The broker refused the message in flight. It is tried again later; the others wait."""
        self.requeue()
        self._not_before = now + _REFUSED_PAUSE

    def too_large(self, reason: str) -> None:
        """The broker will never take the message in flight."""
        assert self._in_flight is not None  # noqa: S101 -- only called for one
        (message, _), self._in_flight = self._in_flight, None
        self._give_up(message, reason)

    def blame(self, now: float) -> bool:
        """The connection broke while only an event was in flight. Returns whether its camera pauses because of that."""
        assert self._in_flight is not None  # noqa: S101 -- only called for one
        camera = self._in_flight[0].payload.camera
        broke = self._broke[camera] = self._broke.get(camera, 0) + 1
        if broke < _TRIES:
            return False
        self.requeue()
        self._held[camera] = now + min(_LONGEST_PAUSE, _REFUSED_PAUSE * 2.0 ** min(10, broke - _TRIES))
        return True

    def requeue(self) -> None:
        """The message in flight may not have arrived: it goes back to the front."""
        if self._in_flight is not None:
            self._outbox.put_back(self._in_flight[0])
            self._in_flight = None

    def connected(self) -> None:
        """End the pause after a refusal."""
        self._not_before = float("-inf")

    def _give_up(self, message: Waiting, reason: str) -> None:
        self.lost += 1
        self._lost(message, reason)
