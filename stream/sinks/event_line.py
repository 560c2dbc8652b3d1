"""Events on their way to the broker: one at a time, in order, each acknowledged before the next. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import LIMIT, Outbox, Waiting

_REFUSED_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 600.0
_TRIES: Final = 2


class EventLine:
    """The caller guards it; times are steady. `lost` hears of each that the outbox gave up."""

    def __init__(self, lost: Callable[[Waiting], None], limit: int = LIMIT) -> None:
        self.lost = 0
        self._lost = lost
        self._outbox = Outbox(limit)
        self._under_way: tuple[Waiting, EventMessage] | None = None
        self._not_before = float("-inf")
        self._broke = 0  # how often the connection broke while one alone was under way

    def __len__(self) -> int:
        """Events that the broker has not acknowledged."""
        return len(self._outbox) + (self._under_way is not None)

    def put(self, message: Waiting) -> None:
        """The newest."""
        if (given_up := self._outbox.put(message)) is not None:
            self._give_up(given_up)

    def next(self, now: float) -> Waiting | None:
        """The oldest, if none is under way; `handed` follows."""
        for late in self._outbox.expire(now):
            self._give_up(late)
        if self._under_way is not None or not len(self._outbox) or now < self._not_before:
            return None
        return self._outbox.take()

    @property
    def held_up(self) -> bool:
        """Whether they wait because the broker has refused one."""
        return self._not_before > float("-inf") and self._under_way is None

    @property
    def under_way(self) -> bool:
        return self._under_way is not None

    def handed(self, message: Waiting, said: EventMessage) -> None:
        """It is on its way, as it was `said`."""
        self._under_way = (message, said)

    def acknowledged(self) -> tuple[Waiting, EventMessage]:
        """The broker has the one under way."""
        assert self._under_way is not None  # noqa: S101 -- the caller knows of one
        found, self._under_way, self._not_before, self._broke = self._under_way, None, float("-inf"), 0
        return found

    def refused(self, now: float) -> None:
        """The broker did not let the one under way through: it is tried again later, and the others wait."""
        self.taken_back()
        self._not_before = now + _REFUSED_PAUSE

    def blame(self, now: float) -> bool:
        """The connection broke while the one under way was alone; returns whether they wait a while for that."""
        self._broke += 1
        if self._broke < _TRIES:
            return False
        self.taken_back()
        self._not_before = now + min(_LONGEST_PAUSE, _REFUSED_PAUSE * 2.0 ** min(10, self._broke - _TRIES))
        return True

    def taken_back(self) -> None:
        """The one under way may not have arrived: it is the oldest again."""
        if self._under_way is not None:
            self._outbox.put_back(self._under_way[0])
            self._under_way = None

    def connected(self) -> None:
        """A new connection may have other rights, unless events break every one."""
        if self._broke < _TRIES:
            self._not_before = float("-inf")

    def _give_up(self, message: Waiting) -> None:
        self.lost += 1
        self._lost(message)
