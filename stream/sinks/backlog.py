"""What waits for the broker and what is under way to it. Events go first, then states, then pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.sinks.event_line import EventLine
from stream.sinks.picture_line import Outgoing, PictureLine
from stream.sinks.retained_states import AT_ONCE, RetainedStates

_SOON: Final = 60.0  # seconds after it was opened
_CAREFUL_AFTER: Final = 2  # connections in a row that broke soon


@dataclass(frozen=True)
class Work:
    """What is to be handed over now."""

    event: Waiting | None
    states: dict[str, str]  # by topic
    picture: Outgoing | None


class Backlog:
    """Any thread notes; one thread hands over. `now` is in seconds of a monotonic clock, `steady` steady time.

    `lost` hears of events that are given up, `complain` of a picture that breaks connections, `dropped` of a topic
    whose messages do, each in the thread that notes or hands over.

    Some brokers answer a message that they do not want by dropping the connection. When connections break soon and
    again, one message at a time goes over them: the one to blame becomes known, and the others get through.
    """

    def __init__(
        self,
        prefix: str,
        lost: Callable[[Waiting], None],
        complain: Callable[[str, int], None],
        dropped: Callable[[str], None],
        queue_limit: int,
    ) -> None:
        self._dropped = dropped
        self._prefix = prefix
        self._changed = threading.Condition()
        self._woken = False
        self._events = EventLine(lost, queue_limit)
        self._states = RetainedStates()
        self._pictures = PictureLine(complain)
        self._say_outside_at = float("inf")
        self._ending = self._patient = False
        self._opened, self._breaks = 0.0, 0

    # noting

    def wake(self) -> None:
        """Something has changed that the other thread looks at."""
        with self._changed:
            self._wake()

    def _wake(self) -> None:
        self._woken = True
        self._changed.notify()

    def event(self, message: Waiting) -> None:
        with self._changed:
            self._events.put(message)
            self._wake()

    def state(self, topic: str, payload: str) -> bool:
        """Returns whether it is the first under this topic."""
        with self._changed:
            self._wake()
            return self._states.set(topic, payload)

    def picture(self, topic: str, jpeg: bytes) -> None:
        with self._changed:
            self._states.forget(topic)
            self._pictures.set(topic, jpeg)
            self._wake()

    def remove(self, topics: Iterable[str]) -> None:
        with self._changed:
            for topic in topics:
                self._pictures.remove(topic)
                self._states.remove(topic)
            self._wake()

    def topics(self, below: str = "") -> list[str]:
        """Topics that the broker is to keep something under."""
        with self._changed:
            return [t for t in (*self._states.topics(), *self._pictures.topics()) if t.startswith(below)]

    def say_outside_again(self, within: float) -> None:
        """Say all states that are not below our prefix again, in so many seconds."""
        with self._changed:
            self._say_outside_at = time.monotonic() + within
            self._wake()

    def stop(self, *, patient: bool) -> None:
        with self._changed:
            self._ending, self._patient = True, patient
            self._wake()

    def __len__(self) -> int:
        """Events that the broker has not acknowledged."""
        with self._changed:
            return len(self._events)

    @property
    def lost(self) -> int:
        """Events that were given up."""
        return self._events.lost

    # handing over

    def finished(self, *, connected: bool) -> bool:
        """It was stopped, and nothing but pictures is left that the broker could still acknowledge."""
        with self._changed:
            settled = (not len(self._events) or self._events.held_up) and self._states.settled
            return self._ending and (settled or not (connected or self._patient))

    def rest(self, seconds: float) -> None:
        """Wait until something has changed, so many seconds at most."""
        with self._changed:
            if not self._woken:
                self._changed.wait(seconds)
            self._woken = False

    def connected(self, largest: int | None, now: float) -> None:
        """A new connection, whose broker takes packets of `largest` bytes (None: it does not say)."""
        with self._changed:
            self._opened = now
            self._events.connected()
            self._states.say_again()
            self._pictures.connected(largest)

    def connection_lost(self, now: float, steady: float) -> None:
        """What was under way may not have arrived, and is to be said again."""
        with self._changed:
            if self._breaks >= _CAREFUL_AFTER:
                if self._events.under_way and self._events.blame(steady):
                    self._dropped(f"{self._prefix}/events")
                elif topic := self._states.blame(now):
                    self._dropped(topic)
            under_way = self._events.under_way or self._states.under_way or self._pictures.under_way
            self._breaks = self._breaks + 1 if under_way and now - self._opened < _SOON else 0
            self._events.taken_back()
            self._states.connection_lost()
            self._pictures.connection_lost(now)

    def next(self, now: float, steady: float) -> Work | None:
        """What is to be handed over; `event_handed` and `picture_handed` follow."""
        with self._changed:
            if now >= self._say_outside_at:
                self._say_outside_at = float("inf")
                self._states.say_again(outside=f"{self._prefix}/")
            if (careful := self._breaks >= _CAREFUL_AFTER) and (self._events.under_way or self._states.under_way):
                return None
            event, picture = self._events.next(steady), None
            states = {} if careful and event else self._states.next(now, 1 if careful else AT_ONCE)
            waits = event or states or (len(self._events) and not self._events.held_up) or not self._states.settled
            if not (waits or self._ending):
                self._breaks = 0
                picture = self._pictures.next(now)
            return Work(event, states, picture) if event or states or picture else None

    def event_handed(self, message: Waiting, said: EventMessage) -> None:
        with self._changed:
            self._events.handed(message, said)

    def event_acknowledged(self) -> tuple[Waiting, EventMessage]:
        with self._changed:
            return self._events.acknowledged()

    def event_refused(self, steady: float) -> None:
        """The broker did not let it through: it is tried again later."""
        with self._changed:
            self._events.refused(steady)

    def state_acknowledged(self, topic: str) -> bool:
        """Returns whether the broker keeps nothing under that topic any more."""
        with self._changed:
            return self._states.acknowledged(topic)

    def picture_handed(self, outgoing: Outgoing, size: int | None, now: float) -> None:
        """It is on its way with `size` bytes; None: it is left out, as it cannot be made small enough."""
        with self._changed:
            if size is None:
                self._pictures.left_out(outgoing)
            else:
                self._pictures.handed(outgoing, size, now)

    def picture_acknowledged(self, now: float) -> None:
        with self._changed:
            self._pictures.acknowledged(now)
