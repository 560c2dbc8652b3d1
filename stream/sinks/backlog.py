"""Everything that waits for the broker or is in flight. Events are sent first, then states, then images."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.sinks.event_queue import EventQueue
from stream.sinks.image_queue import ImageQueue, Outgoing
from stream.sinks.retained_states import AT_ONCE, RetainedStates

_SOON: Final = 60.0  # seconds after the connection was opened
_CAREFUL_AFTER: Final = 2  # connections in a row that broke soon


@dataclass(frozen=True)
class Work:
    """What to send now."""

    event: Waiting | None
    states: dict[str, str]  # by topic
    image: Outgoing | None


class Backlog:
    """Thread-safe: any thread adds messages, one thread sends them.

    `now` is in seconds of a monotonic clock, `steady` is steady time. `lost` is called for events that are discarded,
    with the reason, `image_too_large` (topic, bytes, limit) as by `ImageQueue`, and `dropped` with a topic whose
    messages break connections. `allowed` says whether a retained topic may be published at this moment.

    Some brokers drop the connection instead of refusing a message. If connections break repeatedly and soon, only one
    message at a time is sent, which shows which message is to blame. The others get through.
    """

    def __init__(
        self,
        prefix: str,
        lost: Callable[[Waiting, str], None],
        image_too_large: Callable[[str, int, int | None], None],
        dropped: Callable[[str], None],
        queue_limit: int,
        allowed: Callable[[str], bool] = lambda _topic: True,
    ) -> None:
        self._dropped = dropped
        self._prefix = prefix
        self._changed = threading.Condition()
        self._woken = False
        self._events = EventQueue(lost, queue_limit)
        self._states = RetainedStates(allowed)
        self._images = ImageQueue(image_too_large, allowed)
        self._publish_outside_at = float("inf")
        self._ending = self._patient = False
        self._opened, self._breaks = 0.0, 0

    # adding

    def wake(self) -> None:
        """Wake the sending thread."""
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
        """Returns whether the topic was empty before."""
        with self._changed:
            self._wake()
            return self._states.set(topic, payload)

    def image(self, topic: str, jpeg: bytes) -> None:
        with self._changed:
            self._states.forget(topic)
            self._images.set(topic, jpeg)
            self._wake()

    def remove(self, topics: Iterable[str]) -> None:
        """Empty the topics and stop using them."""
        with self._changed:
            for topic in topics:
                self._images.remove(topic)
                self._states.remove(topic)
            self._wake()

    def leave(self, topics: Iterable[str]) -> None:
        """Stop using the topics, and leave at the broker what is there."""
        with self._changed:
            for topic in topics:
                self._images.remove(topic)
                self._states.forget(topic)

    def refresh(self, topic: str) -> None:
        """Publish the state of one topic again."""
        with self._changed:
            self._states.refresh(topic)
            self._wake()

    def publish_again(self) -> None:
        """Publish all states again."""
        with self._changed:
            self._states.publish_again()
            self._wake()

    def topics(self, prefix: str = "") -> list[str]:
        """Retained topics in use that start with `prefix`."""
        with self._changed:
            return [t for t in (*self._states.topics(), *self._images.topics()) if t.startswith(prefix)]

    def publish_outside_again(self, delay: float) -> None:
        """After `delay` seconds, publish all states again that are not below the prefix."""
        with self._changed:
            self._publish_outside_at = time.monotonic() + delay
            self._wake()

    def stop(self, *, patient: bool) -> None:
        with self._changed:
            self._ending, self._patient = True, patient
            self._wake()

    def __len__(self) -> int:
        """Number of events that the broker has not acknowledged."""
        with self._changed:
            return len(self._events)

    @property
    def lost(self) -> int:
        """Number of events that were discarded."""
        return self._events.lost

    # sending

    def finished(self, *, connected: bool) -> bool:
        """Whether it was stopped and nothing is left to acknowledge, except images."""
        with self._changed:
            settled = (not len(self._events) or self._events.held_up) and self._states.settled
            return self._ending and (settled or not (connected or self._patient))

    def rest(self, seconds: float) -> None:
        """Wait for a change, at most this long."""
        with self._changed:
            if not self._woken:
                self._changed.wait(seconds)
            self._woken = False

    def connected(self, packet_limit: int | None, now: float) -> None:
        """A new connection, whose broker accepts packets of `packet_limit` bytes (None: unknown)."""
        with self._changed:
            self._opened = now
            self._events.connected()
            self._states.publish_again()
            self._images.connected(packet_limit)

    def connection_lost(self, now: float, steady: float) -> None:
        """Messages in flight may not have arrived: send them again."""
        with self._changed:
            if self._breaks >= _CAREFUL_AFTER:
                if self._events.in_flight and self._events.blame(steady):
                    self._dropped(f"{self._prefix}/events")
                elif topic := self._states.blame(now):
                    self._dropped(topic)
            in_flight = self._events.in_flight or self._states.in_flight or self._images.in_transit
            self._breaks = self._breaks + 1 if in_flight and now - self._opened < _SOON else 0
            self._events.requeue()
            self._states.connection_lost()
            self._images.connection_lost(now)

    def next(self, now: float, steady: float) -> Work | None:
        """What to send now. The caller then calls `event_sent` and `image_sent`."""
        with self._changed:
            if now >= self._publish_outside_at:
                self._publish_outside_at = float("inf")
                self._states.publish_again(outside=f"{self._prefix}/")
            if (careful := self._breaks >= _CAREFUL_AFTER) and (self._events.in_flight or self._states.in_flight):
                return None
            event, image = self._events.next(steady), None
            states = {} if careful and event else self._states.next(now, 1 if careful else AT_ONCE)
            waits = event or states or (len(self._events) and not self._events.held_up) or not self._states.settled
            if not (waits or self._ending):
                self._breaks = 0
                image = self._images.next(now)
            return Work(event, states, image) if event or states or image else None

    def event_sent(self, message: Waiting, said: EventMessage) -> None:
        with self._changed:
            self._events.sent(message, said)

    def event_acknowledged(self) -> tuple[Waiting, EventMessage]:
        with self._changed:
            return self._events.acknowledged()

    def event_too_large(self, reason: str) -> None:
        """The broker will never take the event: discard it, so that it holds up no other."""
        with self._changed:
            self._events.too_large(reason)

    def event_refused(self, steady: float) -> None:
        """The broker refused the event: try again later."""
        with self._changed:
            self._events.refused(steady)

    def state_acknowledged(self, topic: str) -> bool:
        """Returns whether the topic is now empty and no longer in use."""
        with self._changed:
            return self._states.acknowledged(topic)

    def image_sent(self, outgoing: Outgoing, size: int | None, now: float) -> None:
        """It was sent with `size` bytes; None: skipped, because it cannot be reduced that far."""
        with self._changed:
            if size is None:
                self._images.skipped(outgoing)
            else:
                self._images.sent(outgoing, size, now)

    def image_acknowledged(self, now: float) -> None:
        with self._changed:
            self._images.acknowledged(now)
