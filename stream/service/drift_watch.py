"""Checks every three hours, in a separate process, whether each camera's scores have drifted from its threshold.

It reads weeks of scores; neither the scoring loop nor the writer should wait for that.
"""

from __future__ import annotations

import os
import sqlite3
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from stream.base.errors import StreamError
from stream.base.log import log
from stream.base.processes import StartProcess, end_with_parent
from stream.watch.reaper import Reaper

FIRST_AFTER: Final = 300.0
EVERY: Final = 3 * 3_600.0


def find_drift(folder: Path, cameras: list[str], pipe: Connection) -> None:
    """Body of the process: sends {camera: why its threshold no longer fits, or ""}."""
    from stream.archive.store import Store
    from stream.lookback.history import LOOK_BACK, drift_of, history_of, rule_of

    os.nice(10)
    end_with_parent()
    now = time.time()
    try:
        with Store.read_only(folder) as store:
            found = {
                name: drift_of(
                    store, name, history_of(store, name, now - LOOK_BACK, now).scores, rule_of(store, name), now
                )
                for name in cameras
            }
    except (StreamError, sqlite3.Error, ValueError):
        found = {}
    pipe.send(found)


class DriftWatch:
    """At most one process at a time. The main loop calls `turn`, which never waits."""

    def __init__(self, folder: Path, start_process: StartProcess, reaper: Reaper, now: float) -> None:
        self._folder = folder
        self._start_process = start_process
        self._reaper = reaper
        self._next = now + FIRST_AFTER
        self._running: tuple[BaseProcess, Connection] | None = None

    def turn(self, now: float, cameras: list[str]) -> dict[str, str]:
        """The result of a check that has just finished; otherwise empty."""
        if self._running is None:
            if now >= self._next:
                self._next = now + EVERY
                try:
                    self._running = self._start_process(find_drift, (self._folder, cameras), "mgfn-drift")
                except OSError as error:  # the cameras continue, and the next check will run
                    log.error("drift check skipped", reason=error.strerror)
            return {}
        process, pipe = self._running
        try:
            if not pipe.poll():
                return {}
            found: dict[str, str] = pipe.recv()
        except (EOFError, OSError):
            found = {}
        pipe.close()
        self._reaper.end(process)
        self._running = None
        return found
