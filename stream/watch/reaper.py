"""Ends processes without waiting for them: killed at once, collected when they have gone.

A process in an uninterruptible disk wait survives `kill` for as long as the disk hangs. Joining it would block all
cameras. The loop calls `collect`, which never waits.
"""

from __future__ import annotations

import time
from multiprocessing.process import BaseProcess

_POLL_EVERY = 0.01


class Reaper:
    """Used by one thread."""

    def __init__(self) -> None:
        self._dying: list[BaseProcess] = []

    def __len__(self) -> int:
        """The number of processes that were killed but still exist."""
        return len(self._dying)

    def end(self, process: BaseProcess) -> None:
        """Kill the process; returns at once."""
        process.kill()
        self._dying.append(process)

    def collect(self) -> None:
        """Release those that have gone."""
        self._dying = [process for process in self._dying if process.is_alive()]

    def wait(self, within: float) -> None:
        """At the end of the service: wait up to `within` seconds for all of them together."""
        until = time.monotonic() + within
        self.collect()
        while self._dying and time.monotonic() < until:
            time.sleep(_POLL_EVERY)
            self.collect()
