"""Events with their last message, verdicts and files, and the outbox of undelivered messages."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from stream.alarm.event import EventMessage
from stream.alarm.outbox import Waiting
from stream.alarm.requests import Verdict
from stream.alarm.wall import UNSET_BEFORE, WallMark

_PUBLISHED: Final = (
    "json_extract(payload, '$.suppressed') IS NULL AND coalesce(json_extract(payload, '$.severity'), 'alarm') = 'alarm'"
)
_ASKS: Final = f"label = 'anomaly' AND {_PUBLISHED}"  # a published alarm or a test: people are asked to answer it
_ALARM: Final = f"{_ASKS} AND NOT test"
_KIND: Final = (
    "CASE WHEN test THEN 'test' WHEN label <> 'anomaly' THEN label "
    "ELSE coalesce(json_extract(payload, '$.kind'), 'unknown') END"
)
_WITH_FILES: Final = "SELECT DISTINCT id FROM events JOIN files ON event = id WHERE camera = ?"
_COLUMNS: Final = ("id", "camera", "label", "test", "start_time", "end_time", "end_reason", "top_score")


@dataclass(frozen=True)
class ListedEvent:
    """The last message of an event, with verdict and file sizes (0 if there is no file)."""

    message: EventMessage
    verdict: Verdict | None
    snapshot_bytes: int
    clip_bytes: int

    def as_json(self) -> dict[str, Any]:
        """As the page and `mgfn-events list --json` show it."""
        beside = {"verdict": self.verdict, "snapshot_bytes": self.snapshot_bytes, "clip_bytes": self.clip_bytes}
        return self.message.as_json() | beside


@dataclass(frozen=True)
class EventFilter:
    """Which events are listed; None means any.

    cameras: their names.
    kind: what the event is about; `camera_lost` and `test` count as kinds.
    since, before: epoch seconds at which it began.
    answered: whether a published alarm or a test has been acknowledged or judged; other events are neither.
    """

    cameras: Collection[str] | None = None
    kind: str | None = None
    severity: Literal["alarm", "notice"] | None = None
    verdict: Verdict | Literal["none"] | None = None
    since: float = 0.0
    before: float = 1e11
    answered: bool | None = None

    def sql(self) -> tuple[str, list[object]]:
        """A condition and its values."""
        terms: list[str] = ["start_time >= ?", "start_time < ?"]
        given: list[object] = [self.since, self.before]
        if self.cameras is not None:
            terms.append(f"camera IN ({','.join('?' * len(self.cameras))})")
            given += self.cameras
        if self.kind is not None:
            terms.append(f"{_KIND} = ?")
            given.append(self.kind)
        if self.severity is not None:
            terms.append("coalesce(json_extract(payload, '$.severity'), 'alarm') = ?")
            given.append(self.severity)
        if self.verdict is not None:
            terms.append("coalesce(verdict, 'none') = ?")
            given.append(self.verdict)
        if self.answered is not None:
            answered = "(verdict IS NOT NULL OR json_extract(payload, '$.acknowledged') IS NOT NULL)"
            terms.append(f"{_ASKS} AND {'' if self.answered else 'NOT '}{answered}")
        return " AND ".join(terms), given


def _read(payload: str) -> EventMessage:
    return EventMessage.from_stored(json.loads(payload))


class EventStore:
    """Part of the open store: same thread, same transactions, errors of sqlite3."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, payload: EventMessage, made: float, *, awaits_files: bool) -> int:
        """Store a message of an event, `made` at that steady time, and add it to the outbox; returns its key there."""
        stored = payload.as_stored()
        text = json.dumps(stored)
        files = "closed" if payload.type == "media" else "awaited" if awaits_files else "none"
        row = {name: stored[name] for name in _COLUMNS} | {"payload": text, "files": files, "made": made}
        self._database.execute(
            """INSERT INTO events (id, camera, label, test, start_time, end_time, end_reason, top_score, payload, files,
                   age_from)
               VALUES (:id, :camera, :label, :test, :start_time, :end_time, :end_reason, :top_score, :payload, :files,
                   :made)
               ON CONFLICT (id) DO UPDATE SET start_time = :start_time, end_time = :end_time, end_reason = :end_reason,
                   top_score = :top_score, payload = :payload,
                   files = CASE :files WHEN 'none' THEN files ELSE :files END""",
            row,
        )
        return self._database.execute(
            "INSERT INTO outbox (made, payload) VALUES (?, ?) RETURNING key", (made, text)
        ).fetchone()[0]

    def delivered(self, key: int, said: EventMessage | None = None) -> None:
        """The broker has the message as it was `said`; None: it was discarded."""
        self._database.execute("DELETE FROM outbox WHERE key = ?", (key,))
        if said is not None:  # only the times of its publication: what they count from stays, for later messages
            self._database.execute(
                """UPDATE events SET payload = json_set(payload, '$.published_time', ?, '$.delayed', json(?))
                   WHERE id = ? AND json_extract(payload, '$.seq') = ?""",
                (said.published_time, json.dumps(said.delayed), said.id, said.seq),
            )

    def waiting(self) -> list[Waiting]:
        """The outbox, oldest first."""
        rows = self._database.execute("SELECT payload, made, key FROM outbox ORDER BY key")
        return [Waiting(_read(payload), made, key) for payload, made, key in rows]

    def correct(self, now: WallMark) -> None:
        """The wall clock was set: correct events that are open or not delivered, or were stored before it was ever set.

        The others keep the times that their subscribers know.
        """
        rows = self._database.execute(
            """SELECT payload FROM events WHERE start_time < ? OR end_time IS NULL OR files = 'awaited'
                   OR id IN (SELECT json_extract(payload, '$.id') FROM outbox)""",
            (UNSET_BEFORE,),
        ).fetchall()
        for (payload,) in rows:
            before = _read(payload)
            if (after := before.corrected(now)) is not before:
                self._database.execute(
                    "UPDATE events SET start_time = ?, end_time = ?, payload = ? WHERE id = ?",
                    (after.start_time, after.end_time, json.dumps(after.as_stored()), after.id),
                )

    def unfinished(self) -> list[tuple[EventMessage, bool]]:
        """The last message of each event without `end`, or whose files are awaited; and whether they are."""
        rows = self._database.execute(
            "SELECT payload, files FROM events WHERE end_time IS NULL OR files = 'awaited' ORDER BY start_time"
        )
        return [(_read(payload), files == "awaited") for payload, files in rows]

    def since(self, since: float) -> list[ListedEvent]:
        """Events that began at epoch time `since` or later, oldest first."""
        return self._listed("start_time >= ?", (since,), "ORDER BY start_time")

    def _listed(self, where: str, values: tuple[object, ...], order: str) -> list[ListedEvent]:
        rows = self._database.execute(
            f"""SELECT payload, verdict,
                      coalesce((SELECT bytes FROM files WHERE event = id AND kind = 'snapshot'), 0),
                      coalesce((SELECT bytes FROM files WHERE event = id AND kind = 'clip'), 0)
               FROM events WHERE {where} {order}""",  # noqa: S608 -- ours
            values,
        )
        return [ListedEvent(_read(payload), verdict, snapshot, clip) for payload, verdict, snapshot, clip in rows]

    def get(self, event_id: str) -> ListedEvent | None:
        """One event, None: unknown."""
        found = self._listed("id = ?", (event_id,), "")
        return found[0] if found else None

    def latest(self, wanted: EventFilter, limit: int) -> list[ListedEvent]:
        """At most `limit` of the wanted events, newest first."""
        where, values = wanted.sql()
        return self._listed(where, (*values, limit), "ORDER BY start_time DESC LIMIT ?")

    def count(self, wanted: EventFilter) -> int:
        """How many events are wanted."""
        where, values = wanted.sql()
        return int(self._database.execute(f"SELECT count(*) FROM events WHERE {where}", values).fetchone()[0])  # noqa: S608 -- ours

    def verdicts(self, camera: str, verdict: Verdict, since: float) -> list[tuple[float, float]]:
        """When the alarms of a camera with that verdict began and ended, oldest first."""
        rows = self._database.execute(
            """SELECT start_time, coalesce(end_time, start_time) FROM events
               WHERE camera = ? AND verdict = ? AND start_time >= ? AND label = 'anomaly' AND NOT test
               ORDER BY start_time""",
            (camera, verdict, since),
        )
        return rows.fetchall()

    def judged(self, camera: str, verdict: Verdict, limit: int) -> list[ListedEvent]:
        """The newest `limit` alarms and notices of a camera with that verdict."""
        return self._listed(
            "camera = ? AND verdict = ? AND label = 'anomaly' AND NOT test",
            (camera, verdict, limit),
            "ORDER BY age_from DESC, start_time DESC LIMIT ?",
        )

    def alarm_times(self, camera: str, since: float) -> list[float]:
        """When the alarms of a camera began, oldest first; without tests, notices and suppressed alarms."""
        rows = self._database.execute(
            f"SELECT start_time FROM events WHERE camera = ? AND start_time >= ? AND {_ALARM} ORDER BY start_time",  # noqa: S608 -- ours
            (camera, since),
        )
        return [start for (start,) in rows]

    def judge(self, camera: str, event_id: str, verdict: Verdict | None) -> str | None:
        """Store an operator's verdict; None withdraws it. `event_id` "latest" is the last alarm that was published.

        Returns the event's id; None if it is unknown.
        """
        chosen = self.latest_alarm(camera) if event_id == "latest" else event_id
        row = self._database.execute(
            "UPDATE events SET verdict = ? WHERE camera = ? AND id = ? RETURNING id", (verdict, camera, chosen)
        ).fetchone()
        return None if row is None else str(row[0])

    def latest_alarm(self, camera: str) -> str | None:
        """Id of the camera's last alarm that was published and is not a test."""
        row = self._database.execute(
            f"SELECT id FROM events WHERE camera = ? AND {_ALARM} ORDER BY age_from DESC, start_time DESC LIMIT 1",  # noqa: S608 -- ours
            (camera,),
        ).fetchone()
        return None if row is None else str(row[0])

    def file_kept(self, event_id: str, kind: str, size: int) -> None:
        """An image or clip of `size` bytes is on disk; 0 means that it is gone."""
        if size:
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (event_id, kind, size))
        else:
            self._database.execute("DELETE FROM files WHERE event = ? AND kind = ?", (event_id, kind))

    def latest_snapshot(self, camera: str) -> str | None:
        """Id of the camera's newest alarm that was published, test or not, and has an image."""
        row = self._database.execute(
            f"""SELECT id FROM events JOIN files ON event = id AND kind = 'snapshot'
                WHERE camera = ? AND {_PUBLISHED} ORDER BY age_from DESC, start_time DESC LIMIT 1""",  # noqa: S608 -- ours
            (camera,),
        ).fetchone()
        return None if row is None else str(row[0])

    def newest(self) -> list[float]:
        """The steady time from which the newest event's age counts, if there is one."""
        rows = self._database.execute("SELECT max(age_from) FROM events")
        return [newest for (newest,) in rows if newest is not None]

    def within(self, camera: str, begin: float, end: float) -> tuple[list[str], int]:
        """Ids of the camera's events that have ended and of which a part lies between these epoch times, and how many
        have not ended.
        """
        rows = self._database.execute(
            """SELECT id, end_time IS NULL FROM events
               WHERE camera = ? AND start_time < ? AND coalesce(end_time, start_time) >= ? ORDER BY start_time""",
            (camera, end, begin),
        ).fetchall()
        return [event_id for event_id, still_open in rows if not still_open], sum(still_open for _, still_open in rows)

    def erase(self, ids: Sequence[str]) -> None:
        """Delete these events, with their messages that wait in the outbox."""
        for event_id in ids:
            self._database.execute("DELETE FROM outbox WHERE json_extract(payload, '$.id') = ?", (event_id,))
            self._database.execute("DELETE FROM files WHERE event = ?", (event_id,))
            self._database.execute("DELETE FROM events WHERE id = ?", (event_id,))

    def with_files(self, camera: str) -> list[str]:
        """Ids of the camera's events that have files."""
        return [event_id for (event_id,) in self._database.execute(_WITH_FILES, (camera,))]

    def older(self, camera: str, before: float, limit: int) -> list[str]:
        """Ids of the camera's oldest events, `limit` at most, that ended and whose age counts from before that time."""
        rows = self._database.execute(
            """SELECT id FROM events WHERE camera = ? AND age_from < ? AND end_time IS NOT NULL
               ORDER BY age_from LIMIT ?""",
            (camera, before, limit),
        )
        return [event_id for (event_id,) in rows]

    def forget(self, before: float, but: Sequence[str] = ()) -> None:
        """Delete events that have ended and whose age counts from before that steady time, `but` of these cameras."""
        others = f"camera NOT IN ({','.join('?' * len(but))})"
        self._database.execute(
            f"DELETE FROM events WHERE age_from < ? AND end_time IS NOT NULL AND {others}",  # noqa: S608 -- ours
            (before, *but),
        )
