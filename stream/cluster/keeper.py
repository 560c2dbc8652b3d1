"""Decides which leases to claim, to keep and to give up. Pure: snapshots and times are passed in.

Times are seconds since boot on this machine; no two machines need to agree on the time. Why no two instances speak for
one camera at a time:

- A holder speaks until `LEASE - MARGIN` seconds after it *began* an exchange that still showed its leases.
- Another instance claims a lease only if it has seen no new beat of the holder for `LEASE + MARGIN` seconds, or if the
  holder released it.
- After its claim it exchanges again. By the second guarantee of `LeaseStore`, either it sees a beat that the holder has
  written meanwhile, and gives the lease back unused; or the holder's next exchange shows the claim, and the holder
  never extends its time.

So `MARGIN` covers clocks that run at different speeds, and the moment between a look at the lease and the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from stream.base.ownership import SITE
from stream.cluster.placement import NO_LABELS, Labels, Worker, choices, place
from stream.cluster.records import Beat, Record, Snapshot
from stream.cluster.sightings import Latest, Sightings

LEASE: Final = 5.0
MARGIN: Final = 1.0
SUSPECT_AFTER: Final = 2.5  # seconds without a beat, after which others begin to watch the worker's cameras
READY_WITHIN: Final = 8.0  # a free lease is claimed once the camera delivers here, and at the latest after that time
PATIENCE: Final = 30.0  # of a worker that must give a camera away, for another one to be ready
DEAD: Final = LEASE + MARGIN
STRANGE_AFTER: Final = 4.0


@dataclass(frozen=True)
class Claim:
    """A claim that was decided on: the record it replaces, and the last beat of that record's session."""

    record: Record
    before: Record | None
    beat: int | None


class Keeper:
    """`me` says who we are. `expected`: workers that will come, for which nobody else should take over at the start."""

    def __init__(self, me: Beat, expected: Iterable[str], now: float) -> None:
        self.me = me
        self.held: Mapping[str, int] = {}  # replaced, never changed in place: other threads read it
        self.until = float("-inf")  # how long `held` is certain
        self.mine: frozenset[str] = frozenset()  # keys that are placed here
        self.orphans: frozenset[str] = frozenset()  # cameras that are placed here because nobody can watch them
        self.owners: Mapping[str, str | None] = {}
        self.choices: Mapping[str, tuple[int, int]] = {}  # by camera, see `placement.choices`; for people
        self.cameras: Mapping[str, Labels] = {}  # of the site; another thread replaces it, and `site`, its hash
        self.site = me.site
        self._name = f"@{me.worker}"
        self._expected = tuple(expected)
        self._began = now
        self._sightings = Sightings(MARGIN)
        self._latest = Latest()
        self._strange: dict[str, float] = {}  # sessions that do not belong to us, since when
        self._known: dict[tuple[str, int], float] = {}  # key and fence -> since when we know that record
        self._placed: tuple[object, ...] = ()  # what `owners` was computed from
        self._unwanted: dict[str, float] = {}  # keys that others should have, since when
        self._doubtful: dict[str, int] = {}  # our last claims by key, until they are confirmed
        self._snapshot = Snapshot()

    def take_in(self, snapshot: Snapshot, began: float, now: float) -> None:
        """The result of an exchange that began and ended at these times."""
        self._snapshot = snapshot
        self._sightings.take_in(snapshot.beats.values(), began, now)
        self._latest.take_in(snapshot.records)
        session = self.me.session
        self.held = {
            key: fence for key, fence in self.held.items() if self._is(key, Record(fence, session, self.me.worker))
        }
        if self._name not in self.held:
            self.held = {}
        self.until = began + LEASE - MARGIN
        if session in snapshot.drained:
            self.me = replace(self.me, draining=True)

    def _is(self, key: str, record: Record) -> bool:
        return self._snapshot.records.get(key) == record

    def _fence(self, key: str) -> int | None:
        record = self._snapshot.records.get(key)
        return None if record is None else record.fence

    # placement

    def place(self, now: float) -> None:
        """Place all cameras on the workers that are there."""
        workers = {beat.worker: beat for beat in self._snapshot.beats.values() if self._is_there(beat, now)}
        workers[self.me.worker] = self.me
        takers = [beat for beat in workers.values() if not beat.draining] or list(workers.values())
        found = [Worker(beat.worker, beat.capacity, frozenset(beat.labels)) for beat in takers]
        if now < self._began + DEAD:
            found += [
                Worker(name, self.me.capacity, frozenset(self.me.labels))
                for name in self._expected
                if name not in workers
            ]
        inputs = (self.cameras, sorted(found, key=lambda worker: worker.name))
        if inputs != self._placed:  # with many cameras and workers that takes long
            self.owners = place({SITE: NO_LABELS, **self.cameras}, found)
            self.choices = choices(self.me.worker, self.cameras, found)
            self._placed = inputs
        alone = self.owners[SITE] == self.me.worker
        self.orphans = frozenset(key for key, owner in self.owners.items() if owner is None and alone)
        placed = {key for key, owner in self.owners.items() if owner == self.me.worker}
        self.mine = frozenset(placed | self.orphans)

    def _is_there(self, beat: Beat, now: float) -> bool:
        strange = beat.standby or self._strange_for(beat, now) >= STRANGE_AFTER
        return not strange and self._sightings.silence(beat.session, now) < SUSPECT_AFTER

    def _strange_for(self, beat: Beat, now: float) -> float:
        """For how many seconds it has been of another cluster, or had other cameras; a site file changes everywhere
        within seconds.
        """
        if beat.cluster == self.me.cluster and beat.site == self.site:
            self._strange.pop(beat.session, None)
            return 0.0
        return now - self._strange.setdefault(beat.session, now)

    def stranger(self, now: float) -> Beat | None:
        """A live worker of another cluster at the same place."""
        for beat in self._snapshot.beats.values():
            alive = self._sightings.beating(beat.session) and self._sightings.silence(beat.session, now) < SUSPECT_AFTER
            if alive and self._strange_for(beat, now) >= STRANGE_AFTER:
                return beat
        return None

    @property
    def takes_part(self) -> bool:
        """Whether our name is ours; otherwise another run of this worker has it, and we stand by."""
        return self._name in self.held

    # claims

    def claims(self, now: float, ready: frozenset[str]) -> dict[str, Claim]:
        """What to claim now, by key. `ready`: cameras that deliver here already."""
        keys = sorted(self.mine - self.held.keys()) if self._name in self.held else [self._name]
        claims = {key: self._claim(key) for key in keys if self._free(key, now, ready)}
        self._doubtful |= {key: claim.record.fence for key, claim in claims.items()}
        return claims

    def _claim(self, key: str) -> Claim:
        before = self._snapshot.records.get(key)
        fence = 1 + (self._latest.fence(key) if before is None else before.fence)
        beat = None if before is None else self._sightings.last(before.session)
        return Claim(Record(fence, self.me.session, self.me.worker), before, beat)

    def _free(self, key: str, now: float, ready: frozenset[str]) -> bool:
        record = self._snapshot.records.get(key)
        if key in self._snapshot.unsure or self._latest.lost_for(key, record, self.me.session, now) < DEAD:
            return False  # unsure, or its holder may not know yet that the store has lost the lease
        if record is None:
            return True
        known = now - self._known.setdefault((key, record.fence), now)
        if record.session == self.me.session:  # we claimed it, and lost sight of the outcome
            return known >= DEAD
        waits = key in self.cameras and key not in self.orphans and key not in ready
        patience = READY_WITHIN if waits else 0.0
        if not record.session:
            return known >= patience
        return self._sightings.silence(record.session, now) >= DEAD + patience

    def confirm(self, claims: Mapping[str, Claim], now: float) -> tuple[list[str], dict[str, Record]]:
        """After the exchange that followed: the keys that are ours, and what to write to give others back."""
        won: list[str] = []
        back: dict[str, Record] = {}
        for key, claim in claims.items():
            if not self._is(key, claim.record):
                continue
            displaced = self._snapshot.displaced.get(key, claim.before)
            if displaced is not None and displaced.session and not self._still_dead(claim, displaced, now):
                # it may speak until it sees this: only then does it release the lease (`forgotten`)
                back[key] = replace(displaced, fence=claim.record.fence + 1)
            else:
                won.append(key)
                self._doubtful.pop(key, None)
        self.held = {**self.held, **{key: claims[key].record.fence for key in won}}
        return won, back

    def _still_dead(self, claim: Claim, displaced: Record, now: float) -> bool:
        if displaced.session == self.me.session:
            return True
        if self._sightings.last(displaced.session) not in {None, claim.beat} and displaced == claim.before:
            return False
        return self._sightings.silence(displaced.session, now) >= DEAD

    # giving up

    def leaving(self, now: float, delivers: frozenset[str]) -> frozenset[str]:
        """Keys to hand over now: another worker has them, and is ready. `delivers`: cameras that deliver here."""
        there = {beat.worker: beat for beat in self._snapshot.beats.values() if self._is_there(beat, now)}
        self._known = {(key, fence): at for (key, fence), at in self._known.items() if self._fence(key) == fence}
        found = set()
        unwanted = {key: owner for key, owner in self.owners.items() if key in self.held and key not in self.mine}
        self._unwanted = {key: self._unwanted.get(key, now) for key in unwanted}
        for key, owner in unwanted.items():
            target = there.get(owner or self.owners[SITE] or "")
            if target is None:
                continue
            tired = self.me.draining and now - self._unwanted[key] >= PATIENCE
            if key in target.ready or key not in delivers or tired:
                found.add(key)
        return frozenset(found)

    def removed(self) -> frozenset[str]:
        """Cameras that we hold, and that the site has no more."""
        return frozenset(key for key in self.held if key != SITE and key[0] != "@" and key not in self.cameras)

    def released(self, keys: Iterable[str]) -> dict[str, Record]:
        """What to write to release these keys; they are not ours any more."""
        gone = {key: self.held[key] for key in keys if key in self.held}
        self.held = {key: fence for key, fence in self.held.items() if key not in gone}
        return {key: Record(fence + 1) for key, fence in gone.items()}

    def forgotten(self, now: float) -> dict[str, Record]:
        """What to write to release leases that bear our session, but that we do not hold: our name or the outcome of a
        claim was lost, or another gave them back. After such a claim, whoever held the lease before may still speak.
        """
        found = {}
        for key, record in self._snapshot.records.items():
            if record.session != self.me.session or key in self.held:
                continue
            known = now - self._known.setdefault((key, record.fence), now)
            if self._doubtful.get(key) != record.fence or known >= DEAD:
                found[key] = Record(record.fence + 1)
        return found

    def over(self, now: float) -> list[str]:
        """Sessions that have been silent for long and own nothing."""
        owning = {record.session for record in self._snapshot.records.values()}
        return [s for s in self._snapshot.beats if s not in owning and self._sightings.silence(s, now) > 10 * DEAD]
