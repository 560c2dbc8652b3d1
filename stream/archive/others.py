"""Settings that another process writes into the database while the service runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream.archive.store import Store

_FOLLOWED: Final = ("threshold", "verdict", "ack")  # the others are large, or are read at the start


class SettingsOfOtherProcesses:
    """Used by the writer's thread. `changed` is called with each: camera, name, value."""

    def __init__(self, store: Store, changed: Callable[[str, str, str], None]) -> None:
        self._store = store
        self._changed = changed
        self._writes = store.changes_of_others()
        self._known = store.settings.named(*_FOLLOWED)

    def turn(self) -> None:
        """Look for new ones. Raises sqlite3.Error."""
        if (writes := self._store.changes_of_others()) == self._writes:
            return
        before, self._known, self._writes = self._known, self._store.settings.named(*_FOLLOWED), writes
        for camera, named in self._known.items():
            for name, value in named.items():
                if before.get(camera, {}).get(name) != value:
                    self._changed(camera, name, value)

    def ours(self, camera: str, name: str, value: str | None) -> None:
        """This process has written one itself."""
        if name not in _FOLLOWED:
            return
        known = self._known.setdefault(camera, {})
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value
