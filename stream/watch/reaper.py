"""Ends processes without waiting for them: killed at once, collected whenever they are gone.

A process in an uninterruptible disk wait survives `kill` for as long as the disk hangs; joining it would stop every
camera. The loop calls `collect`, which never waits.
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
        """How many were killed and are still there."""
        return len(self._dying)

    def end(self, process: BaseProcess) -> None:
        """Kill the process; returns at once."""
        process.kill()
        self._dying.append(process)

    def collect(self) -> None:
        """Let go of those that are gone."""
        self._dying = [process for process in self._dying if process.is_alive()]

    def wait(self, within: float) -> None:
        """At the end of the service: wait up to `within` seconds for all of them together."""
        until = time.monotonic() + within
        self.collect()
        while self._dying and time.monotonic() < until:
            time.sleep(_POLL_EVERY)
            self.collect()
