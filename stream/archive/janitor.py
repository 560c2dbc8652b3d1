"""Deletes data that is too old or takes too much space, by steady time: setting the wall clock deletes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Final

from configs.atomic import PARTIAL
from stream.archive.media import LOOK, SUFFIX, Kind, evict, media_path
from stream.archive.retention import DAY, CameraRetention, Retention
from stream.archive.store import Store
from stream.base.log import log

_EVERY: Final = 30.0
_ROOM_EVERY: Final = 2.0
_EVENTS_AT_ONCE: Final = 200  # whatever else is written waits meanwhile
_MERGED_AFTER: Final = 600.0
_HOURS_MERGED: Final = 20
# A slow stream fills the muxer's buffer only after minutes, and no clip takes longer than an hour.
_PARTIAL_IS_DEAD_AFTER: Final = 2 * 3600.0
_LOOK_IS_DEAD_AFTER: Final = 15.0  # nobody waits for an image for so long
_SETTING: Final = "retention"


class Janitor:
    """Used by the writer's thread, `keep` by any. `expired` is called with deleted files."""

    def __init__(self, store: Store, retention: Retention, expired: Callable[[str, Kind], None]) -> None:
        self._store = store
        self._retention = retention
        self._expired = expired
        self._next_look = self._next_room = 0.0
        self._told = False
        # when each file was last written, and since when that is unchanged
        self._passing: dict[str, tuple[int, float]] = {}

    def keep(self, cameras: Mapping[str, CameraRetention]) -> None:
        """What is different for some cameras from now on."""
        self._retention = replace(self._retention, cameras=cameras)

    def turn(self, now: float, *, refused: bool) -> None:
        """Check now and then, and sooner while the disk refuses to write; `now` in seconds of a monotonic clock.

        Raises sqlite3.Error.
        """
        if not self._store.persistent or (now < self._next_look and not (refused and now >= self._next_room)):
            return
        self._next_look, self._next_room = now + _EVERY, now + _ROOM_EVERY
        if self._store.removed and not self._told:
            self._told = True
            log.error("data folder was removed: nothing is kept until a restart; alarms are published")
        self._delete_passing(now)
        if self._delete_old():
            self._next_look = self._next_room

    def _delete_old(self) -> bool:
        """Returns whether more is old than could be deleted at once."""
        now, keep = self._store.clock.now(), replace(self._retention, cameras=self._cameras())
        try:
            gone = evict(self._store.media, keep, now, self._own_days(keep.cameras))
        except OSError as error:
            log.error("old media cannot be deleted", error=error.strerror)
            return False
        if gone:
            log.info("media expired", files=len(gone), bytes=sum(file.bytes for file in gone))
        for file in gone:
            self._expired(file.event_id, file.kind)
        with self._store.transaction():
            for file in gone:
                self._store.events.file_kept(file.event_id, file.kind, 0)
            own, forgotten = _own(keep.cameras, "event_days"), 0
            for name, days in own.items():
                old = self._store.events.older(name, now - days * DAY, _EVENTS_AT_ONCE - forgotten)
                forgotten += self._forget(old)
            scores = {name: now - days * DAY for name, days in _own(keep.cameras, "score_days").items()}
            self._store.forget(now - keep.score_days * DAY, now - keep.event_days * DAY, scores, list(own))
            self._store.scores.merge(self._store.clock.wall(now) - _MERGED_AFTER, _HOURS_MERGED)
            self._store.clocks.keep(self._store.clock)
        return forgotten == _EVENTS_AT_ONCE

    def _cameras(self) -> Mapping[str, CameraRetention]:
        """What is different for some cameras, also for those that were removed, while anything of them is stored."""
        found = dict(self._retention.cameras)
        with self._store.transaction():
            settings = self._store.settings
            known = {name: kept[_SETTING] for name, kept in settings.named(_SETTING).items()}
            for name, own in found.items():
                text = None if own == CameraRetention() else json.dumps(asdict(own))
                if known.pop(name, None) != text:
                    settings.set(name, _SETTING, text)
            for name, text in known.items():
                if self._store.holds(name):
                    found[name] = CameraRetention(**json.loads(text))
                else:
                    settings.set(name, _SETTING, None)
        return found

    def _own_days(self, cameras: Mapping[str, CameraRetention]) -> dict[str, float]:
        """The `media_days` of events whose camera has its own."""
        own = _own(cameras, "media_days")
        return {event_id: days for name, days in own.items() for event_id in self._store.events.with_files(name)}

    def _forget(self, ids: Sequence[str]) -> int:
        """Delete events with their files: nothing would tell whose files they are. Returns how many are gone."""
        gone = 0
        for event_id in ids:
            try:
                for kind in SUFFIX:
                    path = media_path(self._store.media, event_id, kind)
                    if path.exists():
                        path.unlink()
                        self._expired(event_id, kind)
            except OSError as error:
                log.error("old media cannot be deleted", id=event_id, error=error.strerror)
            else:
                self._store.events.erase([event_id])
                gone += 1
        return gone

    def _delete_passing(self, now: float) -> None:
        """Delete partial files that nobody will complete, and images without masks that nobody has read."""
        before, self._passing = self._passing, {}
        for path in self._store.media.glob("*.*"):
            dead_after = _dead_after(path.name)
            if dead_after is None:
                continue
            with suppress(OSError):  # a file that cannot be deleted must not keep the others
                written = path.stat().st_mtime_ns
                known, since = before.get(path.name, (written, now))
                if known == written and now - since > dead_after:
                    path.unlink()
                else:
                    self._passing[path.name] = (written, since if known == written else now)


def _dead_after(name: str) -> float | None:
    """The seconds after which a file that nobody has written since is of no use; None for the files of events."""
    if f"{LOOK}." in name:
        return _LOOK_IS_DEAD_AFTER
    return _PARTIAL_IS_DEAD_AFTER if f"{PARTIAL}." in name else None


def _own(cameras: Mapping[str, CameraRetention], key: str) -> dict[str, float]:
    """The days of those cameras that have their own."""
    return {name: days for name, camera in cameras.items() if (days := getattr(camera, key)) is not None}
