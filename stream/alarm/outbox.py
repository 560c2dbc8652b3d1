"""Messages that the broker has not acknowledged, oldest first. Pure: steady time is passed in.

Bounded: messages older than `longest_wait` are discarded, and a full outbox discards its oldest `update`, or else its
oldest message, so that the begin and end of an alarm outlive its details.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import EventMessage

LIMIT: Final = 10_000
LONGEST_WAIT: Final = 7 * 86_400.0


@dataclass(frozen=True)
class Waiting:
    """A message, decided at steady time `made`; `key` is its row in the database, None if it could not be written."""

    payload: EventMessage
    made: float
    key: int | None = None


class Outbox:
    """A bounded queue of messages."""

    def __init__(self, limit: int = LIMIT, longest_wait: float = LONGEST_WAIT) -> None:
        self._limit = limit
        self._longest_wait = longest_wait
        self._line: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._line)

    def cameras(self) -> set[str]:
        """Cameras whose messages wait."""
        return {message.payload.camera for message in self._line}

    def put(self, message: Waiting) -> Waiting | None:
        """Add the newest message; returns the one that was discarded for it, if any."""
        given_up = None
        if len(self._line) >= self._limit:
            given_up = next((each for each in self._line if each.payload.type == "update"), self._line[0])
            self._line.remove(given_up)
        self._line.append(message)
        return given_up

    def put_back(self, message: Waiting) -> None:
        """It was taken, but has not reached the broker: it is the oldest again."""
        self._line.appendleft(message)

    def expire(self, now: float) -> list[Waiting]:
        """Discard what has waited too long by steady time `now`."""
        gone = []
        while self._line and now - self._line[0].made > self._longest_wait:
            gone.append(self._line.popleft())
        return gone

    def take(self, held: Container[str] = ()) -> Waiting | None:
        """The oldest that is not of a `held` camera, if there is one."""
        for index, message in enumerate(self._line):
            if message.payload.camera not in held:
                del self._line[index]
                return message
        return None
