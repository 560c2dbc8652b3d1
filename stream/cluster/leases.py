"""The leases of one instance that shares its cameras, as its loop and its sinks see them: comparisons of numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stream.alarm.modes import Mode
from stream.base.clock import since_boot
from stream.base.ownership import SITE
from stream.cluster.board import Board
from stream.cluster.keeper import Keeper
from stream.cluster.placement import Labels
from stream.cluster.records import Beat, LeaseStore
from stream.cluster.renewal import Renewal
from stream.settings.settings import CameraConfig
from stream.watch.custody import Leases
from stream.watch.fleet import CameraChanges


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
        self._inner = inner
        self._keeper = Keeper(me, expected, since_boot())
        self._board = Board()
        self._renewal = Renewal(store, self._keeper, self._board)
        self._taken: frozenset[str] | None = None
        self._set_site(cameras)

    def _set_site(self, cameras: Sequence[CameraConfig]) -> None:
        self.site = cameras
        self.names = tuple(camera.name for camera in cameras)
        labels: dict[str, Labels] = {camera.name: frozenset(camera.labels) for camera in cameras}
        self._keeper.cameras = labels
        digest = hashlib.sha256(json.dumps(sorted((name, sorted(each)) for name, each in labels.items())).encode())
        self._keeper.site = digest.hexdigest()[:12]

    # for the sinks and the loop

    def fence(self, name: str) -> int | None:
        if since_boot() >= self._board.until:
            return None
        known = name == SITE or name in self._keeper.cameras
        return self._board.open.get(name if known else f"@{self.worker}")

    def speaks(self, name: str, fence: int | None) -> bool:
        return fence is not None and self.fence(name) == fence

    def sends(self, opened: float) -> bool:
        lapsed = opened < self._board.lapsed or opened < self._board.until <= since_boot()
        return not lapsed

    @property
    def fault(self) -> str:
        return self._board.fault

    @property
    def standing(self) -> Mapping[str, Any]:
        return self._board.standing

    @property
    def leaving(self) -> frozenset[str]:
        return self._board.leaving

    @property
    def orphans(self) -> frozenset[str]:
        return frozenset(name for name in self._board.orphans if self.fence(name) is not None)

    def found(self, camera: str) -> Mapping[str, Any] | None:
        return self._board.loaded.pop(camera, None)

    def keep(self, camera: str, checkpoint: bytes) -> None:
        with self._board.lock:
            self._board.to_save[camera] = checkpoint

    def let_go(self, camera: str, checkpoint: bytes | None) -> None:
        with self._board.lock:
            if camera in self._board.let_go:
                return
            self._board.let_go[camera] = checkpoint
        self._renewal.wake()

    def watches(self, ready: frozenset[str], delivers: frozenset[str]) -> None:
        self._board.ready, self._board.delivers = ready, delivers

    def renew(self) -> None:
        self._renewal.run()

    def end(self, renewal: Callable[[float], None]) -> None:
        self._renewal.stop()
        renewal(2.5)
        self._renewal.release()

    # as the source of changed cameras

    def take(self) -> Sequence[CameraConfig] | None:
        if self._inner is not None and (site := self._inner.take()) is not None:
            self._set_site(site)
            self._taken = None
        watch = self._board.watch
        if watch == self._taken:
            return None
        self._taken = watch
        return [camera for camera in self.site if camera.name in watch]

    def modes(self) -> Mapping[str, Mode]:
        return {} if self._inner is None else self._inner.modes()

    def retry(self) -> None:
        self._taken = None
        if self._inner is not None:
            self._inner.retry()

    def stop(self) -> None:
        if self._inner is not None:
            self._inner.stop()

    def run(self) -> None:
        if self._inner is not None:
            self._inner.run()
