"""Messages that the broker has not acknowledged, oldest first. Pure: monotonic time is passed in.

Bounded: messages older than `longest_wait` are discarded, and a full outbox discards its oldest `update`, or else its
oldest message, so that the begin and end of an alarm outlive its details.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import EventMessage

LIMIT: Final = 10_000
LONGEST_WAIT: Final = 7 * 86_400.0


@dataclass(frozen=True)
class Waiting:
    """A message; `made` in epoch seconds; `key` is its row in the database, None if it could not be written.

    `noted` is when it was decided, in seconds of the monotonic clock; None: by an earlier run.
    """

    payload: EventMessage
    made: float
    key: int | None = None
    noted: float | None = None

    def waited(self, now: float, epoch: float) -> float:
        """Seconds since it was decided; the wall clock is only used for a message of an earlier run."""
        return epoch - self.made if self.noted is None else now - self.noted


class Outbox:
    """A bounded queue of messages."""

    def __init__(self, limit: int = LIMIT, longest_wait: float = LONGEST_WAIT) -> None:
        self._limit = limit
        self._longest_wait = longest_wait
        self._line: deque[tuple[Waiting, float]] = deque()  # with its time of arrival

    def __len__(self) -> int:
        return len(self._line)

    def put(self, message: Waiting, now: float) -> Waiting | None:
        """Add the newest message; returns the one that was discarded for it, if any. Those of an earlier run wait from
        `now`.
        """
        given_up = None
        if len(self._line) >= self._limit:
            entry = next((e for e in self._line if e[0].payload.type == "update"), self._line[0])
            self._line.remove(entry)
            given_up = entry[0]
        self._line.append((message, now if message.noted is None else message.noted))
        return given_up

    def expire(self, now: float) -> list[Waiting]:
        """Discard what has waited too long by monotonic time `now`."""
        gone = []
        while self._line and now - self._line[0][1] > self._longest_wait:
            gone.append(self._line.popleft()[0])
        return gone

    def take(self) -> Waiting:
        """The oldest. Raises IndexError if there is none."""
        return self._line.popleft()[0]
