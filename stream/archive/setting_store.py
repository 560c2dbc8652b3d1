"""Settings that survive a restart, and the topics that the broker retains for us."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


class SettingStore:
    """Part of the open store: same thread, same transactions, errors of sqlite3."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def set(self, camera: str, name: str, value: str | None) -> None:
        """Store a setting over restarts; None removes it."""
        if value is None:
            self._database.execute("DELETE FROM settings WHERE camera = ? AND name = ?", (camera, name))
        else:
            self._database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (camera, name, value))

    def all(self) -> dict[str, dict[str, str]]:
        """All settings, by camera. What cameras have learned is among them, hundreds of KB for each."""
        return self._found("SELECT camera, name, value FROM settings", ())

    def named(self, *names: str) -> dict[str, dict[str, str]]:
        """The settings of these names, by camera."""
        given = ",".join("?" * len(names))
        return self._found(f"SELECT camera, name, value FROM settings WHERE name IN ({given})", names)  # noqa: S608 -- ours

    def of(self, camera: str) -> dict[str, str]:
        """The settings of one camera by name, without its calibration, which is large."""
        asked = "SELECT name, value FROM settings WHERE camera = ? AND name NOT IN ('learnt', 'canary')"
        return dict(self._database.execute(asked, (camera,)))

    def _found(self, statement: str, given: Sequence[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for camera, name, value in self._database.execute(statement, given):
            found.setdefault(camera, {})[name] = value
        return found

    def retain(self, topic: str, *, kept: bool) -> None:
        """The broker retains a message of ours under `topic`, or no longer."""
        verb = "INSERT OR IGNORE INTO retained VALUES (?)" if kept else "DELETE FROM retained WHERE topic = ?"
        self._database.execute(verb, (topic,))

    def retained_topics(self) -> Sequence[str]:
        return [topic for (topic,) in self._database.execute("SELECT topic FROM retained")]
