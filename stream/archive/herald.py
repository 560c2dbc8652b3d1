"""Publishes event messages in the order in which they were decided, whether or not they are written.

A message is published once it is committed or refused by the disk, and at the latest 0.7 s after it was queued. A
later message waits for an earlier one, so the order of each camera is kept. Subscribers recognise duplicates by (`id`,
`seq`).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting

_SAID_WITHIN: Final = 0.7  # `new` has waited for its image before, for up to a second
_EARLY_KEYS: Final = 10_000


@dataclass(eq=False)
class Pending:
    """A message to be published, `made` at that steady time; `due` in seconds of the monotonic clock."""

    payload: EventMessage
    made: float
    due: float
    key: int | None = None
    said: bool = False


class Herald:
    """Thread-safe; `run` needs its own thread."""

    def __init__(self, say: Callable[[Waiting], None]) -> None:
        self._say = say
        self._line: deque[Pending] = deque()
        self._changed = threading.Condition()
        self._saying = threading.RLock()  # never taken while `_changed` is held
        # rows of messages published before they were written
        self._keys: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._stopped = False

    def expect(self, payload: EventMessage, made: float) -> Pending:
        """The newest message, not yet written."""
        pending = Pending(payload, made, time.monotonic() + _SAID_WITHIN)
        with self._changed:
            self._line.append(pending)
            self._changed.notify()
        return pending

    def written(self, pending: Pending, key: int) -> None:
        """The message is committed in row `key`."""
        with self._changed:
            pending.key, pending.due = key, 0.0
            if pending.said:
                self._keys[pending.payload.id, pending.payload.seq] = key
                if len(self._keys) > _EARLY_KEYS:
                    self._keys.popitem(last=False)
        self._say_due()

    def refused(self, pending: Pending) -> None:
        """The message will not be written. `run` publishes it, because the caller must not wait for the sink."""
        with self._changed:
            pending.due = 0.0
            self._changed.notify()

    def key_of(self, payload: EventMessage) -> int | None:
        """The row of a message that was published before it was written; asked once."""
        with self._changed:
            return self._keys.pop((payload.id, payload.seq), None)

    def stop(self) -> None:
        """Publish everything that is left; then `run` returns."""
        with self._changed:
            self._stopped = True
            for pending in self._line:
                pending.due = 0.0
            self._changed.notify()
        self._say_due()

    def run(self) -> None:
        """Publish what is due, until stopped."""
        while True:
            with self._changed:
                if self._stopped:
                    return
                left = self._line[0].due - time.monotonic() if self._line else None
                if left is None or left > 0:
                    self._changed.wait(left)
            self._say_due()

    def _say_due(self) -> None:
        with self._saying:
            while True:
                with self._changed:
                    if not self._line or self._line[0].due > time.monotonic():
                        return
                    pending = self._line.popleft()
                    pending.said = True
                    message = Waiting(pending.payload, pending.made, pending.key)
                self._say(message)
