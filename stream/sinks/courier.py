"""Messages of events to recipients that may be slow or away: Frigate, people. Never MQTT, which has its own sink.

`offer` notes a message and returns at once; `run`, in a thread that the service makes, delivers. Each recipient has
a line of its own (LIMIT; a full one gives up its oldest), in order, tried again with growing pauses until the message
is too old to be of use. One thread for all: a recipient that does not answer holds the others up by its time-out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from stream.events import Payload
from stream.log import log

LIMIT: Final = 100
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0


class UndeliveredError(Exception):
    """A recipient did not take a message. The text is one line and holds no secret; `lasting`: do not try again."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


class Recipient(Protocol):
    """Who gets messages. `name` is for logs and metrics and holds no secret."""

    name: str

    def wants(self, payload: Payload, now: float) -> bool:
        """Whether it is to get this message, said at monotonic time `now`. Quick; called once for each message."""

    def worth(self, payload: Payload) -> float:
        """For how many seconds it is worth trying."""

    def deliver(self, payload: Payload) -> None:
        """Bring it; may take seconds. Raises UndeliveredError."""


@dataclass
class _Line:
    recipient: Recipient
    messages: deque[tuple[Payload, float]] = field(default_factory=deque)  # and when it was said
    tried: int = 0  # the first one, in vain
    next_try: float = 0.0
    failing: bool = False


class Courier:
    """`told` hears of each message's fate: recipient's name, and "delivered", "failed" or "dropped"."""

    def __init__(
        self, recipients: Sequence[Recipient], told: Callable[[str, str], None], *, queue_limit: int = LIMIT
    ) -> None:
        self._lines = [_Line(recipient) for recipient in recipients]
        self._told = told
        self._limit = queue_limit
        self._changed = threading.Condition()
        self._ending = False

    def offer(self, payload: Payload) -> None:
        """Note a message for whoever wants it."""
        now = time.monotonic()
        with self._changed:
            for line in self._lines:
                if line.recipient.wants(payload, now):
                    if len(line.messages) >= self._limit:
                        self._give_up(line, "dropped", "too many wait")
                    line.messages.append((payload, now))
            self._changed.notify()

    def stop(self) -> None:
        """What waits is tried once more; `run` returns after that."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def run(self) -> None:
        """Deliver until stopped: body of the thread."""
        while (line := self._next()) is not None:
            payload, said = line.messages[0]
            try:
                line.recipient.deliver(payload)
            except UndeliveredError as error:
                self._failed(line, payload, said, error)
            else:
                self._delivered(line, payload)

    def _next(self) -> _Line | None:
        """The line whose turn it is, once it is; None when all is done."""
        with self._changed:
            while True:
                waiting = [line for line in self._lines if line.messages]
                if self._ending:
                    return waiting[0] if waiting else None
                now = time.monotonic()
                line = min(waiting, key=lambda each: each.next_try, default=None)
                if line is not None and line.next_try <= now:
                    return line
                self._changed.wait(None if line is None else line.next_try - now)

    def _delivered(self, line: _Line, payload: Payload) -> None:
        with self._changed:
            self._remove(line, payload)
        self._told(line.recipient.name, "delivered")
        if line.failing:
            line.failing = False
            log.info("delivered again", to=line.recipient.name)

    def _failed(self, line: _Line, payload: Payload, said: float, error: UndeliveredError) -> None:
        if not line.failing:
            line.failing = True
            log.warning("not delivered", to=line.recipient.name, reason=str(error))
        now = time.monotonic()
        pause = min(_LAST_RETRY, _FIRST_RETRY * 2.0**line.tried)
        with self._changed:
            too_late = now + pause - said > line.recipient.worth(payload)
            if error.lasting or too_late or self._ending:
                if line.messages and line.messages[0][0] is payload:
                    self._give_up(line, "failed", str(error))
            else:
                line.tried += 1
                line.next_try = now + pause

    def _remove(self, line: _Line, payload: Payload) -> None:
        """Done with it; while it was under way a full line may have given it up. The lock is held."""
        if line.messages and line.messages[0][0] is payload:
            line.messages.popleft()
        line.tried, line.next_try = 0, 0.0

    def _give_up(self, line: _Line, fate: str, reason: str) -> None:
        payload, _ = line.messages.popleft()
        line.tried, line.next_try = 0, 0.0
        self._told(line.recipient.name, fate)
        log.error("given up", to=line.recipient.name, id=payload["id"], type=payload["type"], reason=reason)
