"""What the broker's messages say about leases, in the order in which they come. Pure.

MQTT has no compare-and-swap, but a broker that handles one message after the other, as Mosquitto does, sends every
subscriber the messages of a topic tree in one and the same order. So everyone applies the same rule to the same
sequence, and agrees:

    A claim takes effect if its fence is the next one after the lease in force. Any other claim has no effect.

A broker retains the *last* message of a topic, which may be one without effect. Whoever has followed the topic then
publishes the lease in force again (`again`), so that those who come later read the right one. Someone who has only just
connected cannot be sure of what is retained: he believes each `again`, and neither claims the lease for `SETTLED_AFTER`
seconds, nor, if it names an owner, before that owner has been silent for a lease (`stream.cluster.keeper`).

A broker that is itself a cluster need not have one order. With such a one, use a shared folder.
"""

from __future__ import annotations

from typing import Final

from stream.cluster.records import Beat, Record, Snapshot

SETTLED_AFTER: Final = 2.0


class Mirror:
    """Not thread-safe; times in seconds of any steady clock."""

    def __init__(self) -> None:
        self.beats: dict[str, Beat] = {}
        self.drained: set[str] = set()
        self._records: dict[str, Record] = {}
        self._displaced: dict[str, Record] = {}
        self._retained: dict[str, float] = {}  # keys that we cannot be sure of, since when

    def connected(self) -> None:
        """A new connection: what was followed so far may have changed."""
        self.beats.clear()
        self.drained.clear()
        self._records.clear()
        self._displaced.clear()
        self._retained.clear()

    def take(self, key: str, record: Record, now: float, *, retained: bool, again: bool) -> Record | None:
        """A message about a lease. Returns the record in force if it must be published again."""
        current = self._records.get(key)
        if current is None:
            self._records[key] = record
            if retained:
                self._retained[key] = now
            return None
        sure = key not in self._retained
        if record.fence == current.fence + 1 and not again:
            self._displaced[key], self._records[key] = current, record
            if not sure and now - self._retained[key] >= SETTLED_AFTER:
                del self._retained[key]
        elif again and record.fence > current.fence:  # we have missed something
            self._records[key] = record
        elif record != current and sure:
            return current
        elif again:
            self._records[key] = record
        return None

    def snapshot(self, now: float) -> Snapshot:
        unsure = frozenset(key for key, since in self._retained.items() if now - since < SETTLED_AFTER)
        return Snapshot(dict(self._records), dict(self.beats), dict(self._displaced), unsure, frozenset(self.drained))
