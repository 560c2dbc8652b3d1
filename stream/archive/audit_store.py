"""The audit log: who changed what, and when."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from stream.alarm.audit import Change

MOST: Final = 100_000
_COLUMNS: Final = "at, who, via, camera, what, value"


class AuditStore:
    """Part of the open store: same thread, same transactions, errors of sqlite3."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, change: Change, made: float) -> None:
        """Store a change, made at that steady time."""
        values = (change.at, change.who, change.via, change.camera, change.what, change.value, made)
        self._database.execute(f"INSERT INTO audit ({_COLUMNS}, age_from) VALUES (?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 -- ours

    def latest(self, limit: int, since: float = 0.0, cameras: Collection[str] | None = None) -> list[Change]:
        """At most `limit` changes since that epoch time, newest first; `cameras` None: those of the site, too."""
        where, values = "at >= ?", [since, *(() if cameras is None else cameras)]
        if cameras is not None:
            where += f" AND camera IN ({','.join('?' * len(cameras))})"
        return self._listed(f"WHERE {where} ORDER BY key DESC LIMIT ?", (*values, limit))

    def last_of_each(self) -> list[Change]:
        """The last change of each thing of each camera."""
        return self._listed("WHERE key IN (SELECT max(key) FROM audit GROUP BY camera, what)", ())

    def _listed(self, rest: str, values: tuple[object, ...]) -> list[Change]:
        if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone():
            return []  # no version that keeps it has run yet
        return [Change(*row) for row in self._database.execute(f"SELECT {_COLUMNS} FROM audit {rest}", values)]  # noqa: S608 -- ours

    def forget(self, before: float) -> None:
        """Delete what was changed before that steady time, and all but the newest MOST."""
        self._database.execute("DELETE FROM audit WHERE age_from < ?", (before,))
        self._database.execute("DELETE FROM audit WHERE key <= (SELECT max(key) FROM audit) - ?", (MOST,))
