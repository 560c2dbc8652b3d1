"""What an instance has seen of the others: when their beats came, and the leases that were in force. Pure.

Times are seconds since boot; those of a snapshot are when its exchange began and ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stream.cluster.records import Beat, Record


class Sightings:
    """How long each session has been silent. `grace`: exchanges that are further apart may have missed beats."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._seen: dict[str, tuple[int, float]] = {}  # session -> number of its last beat, and when it came
        self._beating: set[str] = set()
        self._took_in: float | None = None

    def take_in(self, beats: Collection[Beat], began: float, now: float) -> None:
        if self._took_in is not None and (missed := began - self._took_in) > self._grace:
            self._seen = {session: (number, at + missed) for session, (number, at) in self._seen.items()}
        self._took_in = now
        for beat in beats:
            before = self._seen.get(beat.session)
            if before is None or before[0] != beat.number:
                self._seen[beat.session] = (beat.number, now)
                self._beating |= set() if before is None else {beat.session}

    def silence(self, session: str, now: float) -> float:
        """Seconds since its last beat came; at most since we have known of the session."""
        return now - self._seen.setdefault(session, (-1, now))[1]

    def last(self, session: str) -> int | None:
        """The number of its last beat."""
        return self._seen.get(session, (None,))[0]

    def beating(self, session: str) -> bool:
        """Whether we have seen its beats grow."""
        return session in self._beating


class Latest:
    """The records with the highest fences, in case the store loses its memory."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._lost: dict[str, float] = {}  # keys of which the store has lost the latest record, since when

    def take_in(self, records: Mapping[str, Record]) -> None:
        for key, record in records.items():
            if record.fence >= self.fence(key):
                self._records[key] = record

    def fence(self, key: str) -> int:
        """The highest fence, 0 if there was none."""
        return self._records[key].fence if key in self._records else 0

    def lost_for(self, key: str, record: Record | None, session: str, now: float) -> float:
        """For how many seconds we have known that the store has an older record than the latest one, which was not of
        this session; infinite if that is not so.
        """
        if (record is not None and record.fence >= self.fence(key)) or key not in self._records:
            self._lost.pop(key, None)
            return float("inf")
        since = self._lost.setdefault(key, now)
        return float("inf") if self._records[key].session == session else now - since
