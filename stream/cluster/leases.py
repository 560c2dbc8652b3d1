"""The leases of one instance that shares its cameras: a thread that renews, claims and hands them over.

The loop (`stream.watch.custody`) and the sinks ask `fence` and `speaks`, which only compare numbers and never wait.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from stream.base.clock import since_boot
from stream.base.log import log
from stream.base.ownership import SITE
from stream.cluster.keeper import Keeper
from stream.cluster.placement import Labels
from stream.cluster.records import Beat, LeaseStore, StoreError
from stream.settings.settings import CameraConfig
from stream.watch.custody import Leases
from stream.watch.fleet import CameraChanges

BEAT_EVERY: Final = 0.5
_NEW: Final = 30.0  # seconds
_SAVED_A_TURN: Final = 4  # checkpoints, so that a beat never waits for many


class SharedLeases(Leases):
    """`inner` is the source of changed cameras of the whole site, None for cameras given as flags. This object takes
    its place: the cameras to watch are those that are ours, and those that become ours.
    """

    def __init__(
        self,
        store: LeaseStore,
        me: Beat,
        expected: Sequence[str],
        cameras: Sequence[CameraConfig],
        inner: CameraChanges | None,
    ) -> None:
        self.worker = me.worker
        self._store = store
        self._inner = inner
        self._me = me
        self._began = since_boot()
        self._keeper = Keeper(me, expected, self._began)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._site: Sequence[CameraConfig] = ()
        self._set_site(cameras)
        self._watch: frozenset[str] = frozenset()
        self._taken: frozenset[str] | None = None
        # read by other threads: replaced, never changed in place
        self._open: Mapping[str, int] = {}
        self._leaving: frozenset[str] = frozenset()
        self._others = False
        self._until = float("-inf")
        self._ready: frozenset[str] = frozenset()
        self._delivers: frozenset[str] = frozenset()
        self._loaded: dict[str, Mapping[str, Any]] = {}
        self._to_save: dict[str, bytes] = {}
        self._let_go: dict[str, bytes | None] = {}
        self._complained = self._told_of = ""

    def _set_site(self, cameras: Sequence[CameraConfig]) -> None:
        self._site = cameras
        self.names = tuple(camera.name for camera in cameras)
        labels: dict[str, Labels] = {camera.name: frozenset(camera.labels) for camera in cameras}
        self._keeper.cameras = labels
        digest = hashlib.sha256(json.dumps(sorted((name, sorted(each)) for name, each in labels.items())).encode())
        self._keeper.me = replace(self._keeper.me, site=digest.hexdigest()[:12])

    # for the sinks and the loop

    def fence(self, name: str) -> int | None:
        if since_boot() >= self._until:
            return None
        found = self._open
        if name == SITE or name in self._keeper.cameras:
            return found.get(name)
        return found.get(f"@{self.worker}")

    def speaks(self, name: str, fence: int | None) -> bool:
        return fence is not None and self.fence(name) == fence

    def sends(self, opened: float) -> bool:
        return not opened < self._until <= since_boot()

    @property
    def others(self) -> bool:
        return self._others

    @property
    def leaving(self) -> frozenset[str]:
        return self._leaving

    @property
    def orphans(self) -> frozenset[str]:
        return frozenset(name for name in self._keeper.orphans if self.fence(name) is not None)

    def found(self, camera: str) -> Mapping[str, Any] | None:
        return self._loaded.get(camera)

    def keep(self, camera: str, checkpoint: bytes) -> None:
        with self._lock:
            self._to_save[camera] = checkpoint

    def let_go(self, camera: str, checkpoint: bytes | None) -> None:
        with self._lock:
            self._let_go[camera] = checkpoint
        self._wake.set()

    def watches(self, ready: frozenset[str], delivers: frozenset[str]) -> None:
        self._ready, self._delivers = ready, delivers

    # as the source of changed cameras

    def take(self) -> Sequence[CameraConfig] | None:
        with self._lock:
            if self._inner is not None and (site := self._inner.take()) is not None:
                self._set_site(site)
                self._taken = None
            watch = self._watch
            if watch == self._taken:
                return None
            self._taken = watch
            return [camera for camera in self._site if camera.name in watch]

    def retry(self) -> None:
        with self._lock:
            self._taken = None
        if self._inner is not None:
            self._inner.retry()

    def stop(self) -> None:
        """The site file is not read any more; the leases stay ours until `end`."""
        if self._inner is not None:
            self._inner.stop()

    def run(self) -> None:
        """Body of a thread: look for changes of the site until stopped."""
        if self._inner is not None:
            self._inner.run()

    # the thread of the leases

    def renew(self) -> None:
        """Body of a thread: renew, claim and hand over leases until `end`."""
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._turn()
                if self._complained:
                    log.info("leases can be renewed again")
                self._complained = ""
            except StoreError as error:
                if str(error) != self._complained:
                    self._complained = str(error)
                    log.error("leases cannot be renewed: cameras are not scored until they can", reason=str(error))
            self._wake.wait(max(0.0, began + BEAT_EVERY - time.monotonic()))
            self._wake.clear()

    def _turn(self) -> None:
        keeper = self._keeper
        self._exchange()
        self._look_for_strangers()
        keeper.place(since_boot())
        claims = keeper.claims(since_boot(), self._ready)
        for key, claim in claims.items():
            self._store.claim(key, claim.record)
        if claims:
            self._exchange()
            won, back = keeper.confirm(claims, since_boot())
            for key, record in back.items():
                self._store.claim(key, record)
            self._load([key for key in won if key in keeper.cameras])
        self._hand_over()
        self._publish_state()
        self._save()
        for session in keeper.over(since_boot()) if SITE in keeper.held else ():
            self._store.forget(session)

    def _look_for_strangers(self) -> None:
        stranger = self._keeper.stranger(since_boot())
        if stranger is None:
            self._told_of = ""
            return
        reason = (
            f"worker {stranger.worker} on {stranger.host} ({stranger.cluster}) keeps its leases in the same place, but "
            f"has other cameras or another number of shards than this one ({self._me.cluster}): use the same site file "
            "and flags for all, or give each cluster its own --topic-prefix"
        )
        if since_boot() - self._began < _NEW:  # the one that came later gives way
            self.fault = reason
        elif stranger.session != self._told_of:
            self._told_of = stranger.session
            log.error("instance ignored", reason=reason)

    def _exchange(self) -> None:
        keeper, began = self._keeper, since_boot()
        me = keeper.me
        fence = keeper.held.get(f"@{self.worker}")
        keeper.me = replace(
            me, number=me.number + 1, ready=tuple(sorted(self._ready)), standby=not keeper.takes_part, fence=fence
        )
        snapshot = self._store.exchange(keeper.me)
        keeper.take_in(snapshot, began, since_boot())
        self._until = keeper.until
        self._open = {key: fence for key, fence in self._open.items() if keeper.held.get(key) == fence}

    def _load(self, cameras: Sequence[str]) -> None:
        for camera, checkpoint in self._store.load(cameras).items():
            try:
                self._loaded[camera] = json.loads(checkpoint)
            except ValueError:
                log.warning("checkpoint ignored: not of this program", camera=camera)

    def _hand_over(self) -> None:
        keeper = self._keeper
        with self._lock:
            done, self._let_go = self._let_go, {}
        leaving = keeper.leaving(since_boot(), self._delivers)
        self._leaving = leaving - {SITE} - done.keys()
        for camera, checkpoint in done.items():
            if checkpoint is not None:
                self._store.save(camera, checkpoint)
        released = keeper.released([*done, *(leaving & {SITE})])
        self._open = {key: fence for key, fence in self._open.items() if key in keeper.held}
        for key, record in released.items():
            self._store.claim(key, record)

    def _publish_state(self) -> None:
        keeper = self._keeper
        self._others = keeper.others(since_boot())
        self._open = dict(keeper.held)
        held = keeper.held.keys() | keeper.mine if keeper.takes_part else frozenset()
        with self._lock:
            self._watch = frozenset(held & keeper.cameras.keys()) - keeper.orphans

    def _save(self) -> None:
        with self._lock:
            names = [name for name in list(self._to_save)[:_SAVED_A_TURN] if name in self._open]
            chosen = {name: self._to_save.pop(name) for name in names}
        for camera, checkpoint in chosen.items():
            self._store.save(camera, checkpoint)

    def end(self, renewal: Callable[[float], None]) -> None:
        """Everything is published: release what is ours, so that others need not wait. `renewal` waits so many seconds
        for `renew` to return.
        """
        self._stopped.set()
        self._wake.set()
        renewal(2.5)
        try:
            for camera, checkpoint in self._to_save.items():
                if camera in self._open:
                    self._store.save(camera, checkpoint)
            for key, record in self._keeper.released(list(self._keeper.held)).items():
                self._store.claim(key, record)
            self._store.forget(self._me.session)
        except StoreError as error:
            log.warning("leases not released: others take over when they lapse", reason=str(error))
        self._open = {}
        self._store.close()
