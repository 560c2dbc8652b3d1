"""Several keepers over one store in memory, with a time of its own."""

from __future__ import annotations

from collections.abc import Callable

from stream.base.ownership import SITE
from stream.cluster.keeper import Keeper
from stream.cluster.placement import NO_LABELS, Labels
from stream.cluster.records import Beat, Record, Snapshot


class Ground:
    """A store with both guarantees of `LeaseStore`."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.beats: dict[str, Beat] = {}
        self.drained: set[str] = set()

    def exchange(self, beat: Beat) -> Snapshot:
        self.beats[beat.session] = beat
        return Snapshot(dict(self.records), dict(self.beats), drained=frozenset(self.drained))

    def claim(self, key: str, record: Record) -> None:
        current = self.records.get(key)
        if current is None or record.fence == current.fence + 1:
            self.records[key] = record


class Instance:
    """One worker, whose thread does a step at a time, so that a test can freeze it between any two."""

    def __init__(
        self,
        ground: Ground,
        worker: str,
        now: Callable[[], float],
        *,
        cameras: dict[str, Labels],
        expected: tuple[str, ...] = (),
        labels: Labels = NO_LABELS,
        cluster: str = "c",
        session: str = "",
    ) -> None:
        self.now = now
        self.ground = ground
        beat = Beat(worker, session or f"s-{worker}", cluster=cluster, capacity=1e6, labels=tuple(labels))
        self.keeper = Keeper(beat, expected, now())
        self.keeper.cameras = cameras
        self.ready: frozenset[str] = frozenset(cameras)
        self.number = 0
        self.steps = self.begun()

    def speaks(self, key: str) -> int | None:
        """The fence under which it would publish now."""
        return self.keeper.held.get(key) if self.now() < self.keeper.until else None

    def step(self) -> None:
        next(self.steps)

    def turn(self) -> None:
        """All steps of a turn."""
        while next(self.steps) != "end":
            pass

    def _beat(self) -> Beat:
        keeper, self.number = self.keeper, self.number + 1
        standby = not keeper.takes_part
        ready = tuple(self.ready - keeper.held.keys())
        return Beat(**{**keeper.me.as_json(), "number": self.number, "ready": ready, "standby": standby})

    def _exchange(self):  # type: ignore[no-untyped-def]
        began = self.now()
        snapshot = self.ground.exchange(self._beat())
        yield "exchanged"
        self.keeper.take_in(snapshot, began, self.now())

    def begun(self):  # type: ignore[no-untyped-def]
        """Its steps, from the beginning of a turn."""
        keeper = self.keeper
        while True:
            yield from self._exchange()
            keeper.place(self.now())
            claims = keeper.claims(self.now(), self.ready)
            yield "decided"
            for key, claim in claims.items():
                self.ground.claim(key, claim.record)
            yield "claimed"
            if claims:
                yield from self._exchange()
                _, back = keeper.confirm(claims, self.now())
                for key, record in back.items():
                    self.ground.claim(key, record)
            yield "confirmed"
            mine = frozenset(keeper.me.labels)
            delivers = {key for key in keeper.held if key in keeper.cameras and keeper.cameras[key] <= mine}
            forgotten = keeper.forgotten(self.now())
            leaving = keeper.leaving(self.now(), frozenset(delivers))
            for key, record in {**forgotten, **keeper.released(leaving)}.items():
                self.ground.claim(key, record)
            yield "end"


KEYS = (SITE, *"abcdefgh")
CAMERAS: dict[str, Labels] = dict.fromkeys(KEYS[1:], NO_LABELS)
