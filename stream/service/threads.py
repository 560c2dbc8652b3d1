"""The threads of the service, by name."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream.base.errors import StreamError

NEEDED_BY_ALARMS = ("journal", "mqtt", "leases")


class Threads:
    """All are daemons, so none keeps the process alive."""

    def __init__(self) -> None:
        self._threads: dict[str, threading.Thread] = {}

    def start(self, body: Callable[[], None], name: str) -> None:
        self._threads[name] = threading.Thread(target=body, name=name, daemon=True)
        self._threads[name].start()

    def join(self, name: str, timeout: float) -> None:
        """Wait up to `timeout` seconds for a thread; returns at once if there is none of that name."""
        if name in self._threads:
            self._threads[name].join(timeout)

    def alive(self, name: str) -> bool:
        return name in self._threads and self._threads[name].is_alive()

    def check(self) -> None:
        """Raise StreamError if a thread has died without which no alarm can be published: a restart is better than
        silence.
        """
        for name in NEEDED_BY_ALARMS:
            if name in self._threads and not self._threads[name].is_alive():
                raise StreamError(f"the thread {name!r} died (see above); alarms could no longer be published")
