"""What instances that share cameras tell each other: who owns what, and who is there.

A lease is a `Record` under a key: a camera's name, `SITE` for what belongs to the site as a whole, or `@worker` for the
name of a worker. Its `fence` grows by one with each change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Protocol, Self

from stream.base.errors import StreamError

NEVER_FULL: Final = 1e6  # the capacity of workers that are all equal


class StoreError(StreamError):
    """The leases cannot be read or written now."""


@dataclass(frozen=True)
class Record:
    """The lease of a key belongs to a session of a worker; both are "" if it belongs to nobody."""

    fence: int
    session: str = ""
    worker: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any) -> Self:
        """Raises ValueError for anything else than what `as_json` returned."""
        if not isinstance(told, Mapping):
            raise ValueError("not an object")
        fence, session, worker = told.get("fence"), told.get("session"), told.get("worker")
        if type(fence) is not int or not isinstance(session, str) or not isinstance(worker, str):
            raise ValueError("not a lease")
        return cls(fence, session, worker)


@dataclass(frozen=True)
class Beat:
    """A sign of life. `session` is one run of a worker, `number` grows with each beat.

    cluster: which workers share their cameras; different ones must not meet. site: a hash of their cameras.
    capacity: cameras that it can hold. labels: what it can reach. host: the machine. fence: of the lease of its name.
    ready: cameras of others that it watches already. draining: it gives its cameras away. standby: another run of this
    worker is there.
    """

    worker: str
    session: str
    number: int = 0
    cluster: str = ""
    site: str = ""
    capacity: float = 1.0
    labels: tuple[str, ...] = ()
    host: str = ""
    ready: tuple[str, ...] = ()
    draining: bool = False
    standby: bool = False
    fence: int | None = None

    @property
    def shown_capacity(self) -> float | None:
        """The capacity, None if the worker is never full."""
        return None if self.capacity >= NEVER_FULL else self.capacity

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any) -> Self:
        """Raises ValueError for anything else than what `as_json` returned. A later version may add fields."""
        if not isinstance(told, Mapping):
            raise ValueError("not an object")
        told = {each.name: told[each.name] for each in fields(cls) if each.name in told}
        try:
            beat = cls(**told)
            texts = (beat.worker, beat.session, beat.cluster, beat.site, beat.host, *beat.labels, *beat.ready)
            if not all(isinstance(text, str) for text in texts) or not 0 < float(beat.capacity) < 1e9:
                raise ValueError("not a beat")
            return cls(**{**told, "number": int(beat.number), "labels": tuple(beat.labels), "ready": tuple(beat.ready)})
        except (TypeError, OverflowError):
            raise ValueError("not a beat") from None


@dataclass(frozen=True)
class Snapshot:
    """All leases and the newest beat of each session, as of after our own last beat.

    displaced: by key, the record that the current one replaced, where the store knows it.
    unsure: keys whose record may still turn out to be another one.
    drained: sessions that somebody has asked to give their cameras away.
    """

    records: Mapping[str, Record] = field(default_factory=dict)
    beats: Mapping[str, Beat] = field(default_factory=dict)
    displaced: Mapping[str, Record] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()
    drained: frozenset[str] = frozenset()


class LeaseStore(Protocol):
    """Where leases are kept. Used by one thread; every method may wait for a disk or a broker, for two seconds at most,
    and raises StoreError.

    What a store must guarantee, for any two instances:

    1. Of several claims for a key with the same next fence, exactly one takes effect.
    2. If A's `exchange` returns without B's claim, then B's `exchange` after that claim returns with A's beat.
    """

    def exchange(self, beat: Beat) -> Snapshot:
        """Write the beat, then read everything."""

    def look(self) -> Snapshot:
        """Read everything, without a beat: for people who ask."""

    def claim(self, key: str, record: Record) -> None:
        """Write a record, which takes effect if its fence is the next one. `exchange` tells."""

    def save(self, camera: str, checkpoint: bytes) -> None:
        """Keep it for the camera's next owner; an empty one deletes what is kept."""

    def load(self, cameras: Sequence[str]) -> dict[str, bytes]:
        """What was saved last for each of these cameras, where there is something."""

    def drain(self, session: str) -> None:
        """Ask a worker to give its cameras away."""

    def forget(self, session: str) -> None:
        """Remove the beat and requests of a session that is over."""

    def close(self) -> None: ...
