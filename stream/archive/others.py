"""Settings that another process writes into the database while the service runs."""

from __future__ import annotations

from collections.abc import Callable

from stream.archive.store import Store


class SettingsOfOtherProcesses:
    """Used by the writer's thread. `changed` is called with each: camera, name, value."""

    def __init__(self, store: Store, changed: Callable[[str, str, str], None]) -> None:
        self._store = store
        self._changed = changed
        self._writes = store.changes_of_others()
        self._known = store.settings.all()

    def turn(self) -> None:
        """Look for new ones. Raises sqlite3.Error."""
        if (writes := self._store.changes_of_others()) == self._writes:
            return
        before, self._known, self._writes = self._known, self._store.settings.all(), writes
        for camera, named in self._known.items():
            for name, value in named.items():
                if before.get(camera, {}).get(name) != value:
                    self._changed(camera, name, value)

    def ours(self, camera: str, name: str, value: str | None) -> None:
        """This process has written one itself."""
        known = self._known.setdefault(camera, {})
        if value is None:
            known.pop(name, None)
        else:
            known[name] = value
