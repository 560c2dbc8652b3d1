"""Delivers event messages to recipients that may be slow or unreachable: Frigate and notification targets.

`offer` queues a message and returns at once; `run` delivers in a thread that the service creates. Each recipient has
its own courier, so none waits for another's timeout. The queue is bounded (LIMIT; the oldest message is dropped when it
is full) and in order. A failed delivery is retried with increasing pauses until the message is too old.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from stream.alarm.event import EventMessage
from stream.base.log import log

LIMIT: Final = 100
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0


class UndeliveredError(Exception):
    """A delivery failed. The text is one line without secrets. `lasting`: do not retry."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class Recipient(Protocol):
    """A recipient of messages. `name` is used in logs and metrics and contains no secret."""

    name: str

    def wants(self, payload: EventMessage, now: float) -> bool:
        """Whether to send it this message, decided at monotonic time `now`. Fast; called once per message."""

    def worth(self, payload: EventMessage) -> float:
        """For how many seconds to keep trying."""

    def deliver(self, payload: EventMessage) -> None:
        """Deliver the message; may take seconds. Raises UndeliveredError."""


class Courier:
    """`told` is called with the outcome of each message: recipient, and "delivered", "failed" or "dropped".

    `correct` returns a message with current times, because the clock may have been set since it was created.
    """

    def __init__(
        self,
        recipient: Recipient,
        told: Callable[[str, str], None],
        *,
        queue_limit: int = LIMIT,
        correct: Callable[[EventMessage], EventMessage] = lambda message: message,
    ) -> None:
        self._correct = correct
        self._recipient = recipient
        self._told = told
        self._limit = queue_limit
        self._changed = threading.Condition()
        self._messages: deque[tuple[EventMessage, float]] = deque()  # and when it was said
        self._tried = 0  # of the first message, without success
        self._next_try = 0.0
        self._failing = self._ending = False

    @property
    def name(self) -> str:
        """The name of the recipient."""
        return self._recipient.name

    def offer(self, payload: EventMessage) -> None:
        """Queue a message, if the recipient wants it."""
        now = time.monotonic()
        with self._changed:
            if self._recipient.wants(payload, now):
                if len(self._messages) >= self._limit:
                    self._give_up("dropped", "the queue is full")
                self._messages.append((payload, now))
                self._changed.notify()

    def stop(self) -> None:
        """Try waiting messages once more; `run` returns after that."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def run(self) -> None:
        """Body of the thread: deliver until stopped."""
        while (message := self._next()) is not None:
            payload, said = message
            try:
                self._recipient.deliver(self._correct(payload))
            except UndeliveredError as error:
                self._failed(payload, said, error)
            except Exception as error:  # noqa: BLE001 -- a bug costs one message, not all; its text may contain the address
                self._failed(payload, said, UndeliveredError(f"internal error: {type(error).__name__}", lasting=True))
            else:
                self._delivered(payload)

    def _next(self) -> tuple[EventMessage, float] | None:
        """The oldest message, when it is due; None after the stop, once the queue is empty."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._messages and (self._ending or self._next_try <= now):
                    return self._messages[0]
                if self._ending:
                    return None
                self._changed.wait(self._next_try - now if self._messages else None)

    def _delivered(self, payload: EventMessage) -> None:
        with self._changed:
            if self._is_first(payload):
                self._messages.popleft()
            self._tried, self._next_try = 0, 0.0
        self._told(self.name, "delivered")
        if self._failing:
            self._failing = False
            log.info("delivery works again", to=self.name)

    def _failed(self, payload: EventMessage, said: float, error: UndeliveredError) -> None:
        if not self._failing:
            self._failing = True
            log.warning("delivery failed; trying again", to=self.name, reason=str(error))
        now = time.monotonic()
        pause = min(_LAST_RETRY, _FIRST_RETRY * 2.0**self._tried)
        with self._changed:
            too_late = now + pause - said > self._recipient.worth(payload)
            if error.lasting or too_late or self._ending:
                if self._is_first(payload):
                    self._give_up("failed", str(error))
            else:
                self._tried += 1
                self._next_try = now + pause

    def _is_first(self, payload: EventMessage) -> bool:
        """Whether it is still queued: a full queue may have dropped it during delivery. The lock is held."""
        return bool(self._messages) and self._messages[0][0] is payload

    def _give_up(self, fate: str, reason: str) -> None:
        payload, _ = self._messages.popleft()
        self._tried, self._next_try = 0, 0.0
        self._told(self.name, fate)
        log.error("message discarded", to=self.name, id=payload.id, type=payload.type, reason=reason)
