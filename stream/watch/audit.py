"""Keeps the audit log, and the last change of everything, so that nobody overwrites what they have not seen."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from stream.alarm.audit import Change, change_of
from stream.alarm.requests import Command
from stream.archive.clock import Clock
from stream.archive.journal import Journal


class Audit:
    """Used by any thread. `kept`: the last changes of earlier runs."""

    def __init__(self, journal: Journal, clock: Clock, kept: Iterable[Change]) -> None:
        self._journal = journal
        self._clock = clock
        self._last: Mapping[str, Mapping[str, Change]] = {}
        self._lock = threading.Lock()
        self._remember(kept)

    def note(self, command: Command, changed: bool = True) -> None:
        """A command was carried out; it is stored if it `changed` anything. Any thread may call this.

        Those of other processes are in the database already.
        """
        now = self._clock.now()
        change = change_of(command, round(self._clock.wall(now), 3))
        if change is None:
            return
        if change.via == "command line":
            self._journal.last_changes(self._remember)
        else:
            self._remember([change])
            if changed:
                self._journal.audit(change, now)

    def _remember(self, changes: Iterable[Change]) -> None:
        """Replaces the mappings, which other threads read."""
        with self._lock:
            for change in changes:
                of_camera = self._last.get(change.camera, {})
                self._last = {**self._last, change.camera: {**of_camera, change.what: change}}

    def last(self, camera: str) -> dict[str, Any]:
        """The last change of each thing of a camera ("" for the site), by what was changed."""
        return {what: change.as_json() for what, change in self._last.get(camera, {}).items()}
