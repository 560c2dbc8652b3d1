"""Snoozes of cameras: set over MQTT or the page; they end by themselves, and continue after a restart."""

from __future__ import annotations

from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.log import log
from stream.watch.camera_memory import Kept
from stream.watch.camera_topics import CameraTopics
from stream.watch.watched_camera import WatchedCamera

_SLACK = 5.0  # seconds by which the clocks of two runs may differ


class Snoozes:
    """Used only by the loop. A snooze is stored with its end (epoch seconds) and its length (seconds)."""

    def __init__(self, journal: Journal, topics: CameraTopics, kept: Kept, clock: Clock) -> None:
        self._journal = journal
        self._topics = topics
        self._clock = clock
        self._kept = {camera: settings["snooze"] for camera, settings in kept.items() if "snooze" in settings}

    def kept(self, camera: str) -> dict[str, str]:
        """What is stored of the camera's snooze."""
        return {"snooze": self._kept[camera]} if camera in self._kept else {}

    def adopt(self, camera: str, kept: str | None) -> None:
        """Take what another instance stored."""
        if kept is None:
            self._kept.pop(camera, None)
        else:
            self._kept[camera] = kept
        self._journal.setting(camera, "snooze", kept)

    def set(self, camera: WatchedCamera, minutes: float) -> bool:
        """Snooze from now on for so many minutes; 0 ends it. Returns whether that changes anything."""
        if not minutes:
            snoozed = camera.snooze.until is not None
            self._end(camera, "snooze ended early")
            return snoozed
        camera.snooze.until = self._clock.now() + minutes * 60
        kept = f"{camera.snooze.ends_at} {minutes * 60}"
        self._kept[camera.name] = kept
        self._journal.setting(camera.name, "snooze", kept)
        log.warning("camera snoozed: its alarms are not published", camera=camera.name, minutes=minutes)
        self._topics.settings(camera)
        return True

    def recall(self, camera: WatchedCamera) -> None:
        """Continue a snooze of an earlier run, if it is certain how long it still lasts."""
        if camera.name not in self._kept:
            return
        ends_at, length = map(float, self._kept[camera.name].split())
        now = self._clock.now()
        left = ends_at - self._clock.wall(now)
        if left <= 0:
            self._end(camera, "snooze ended while the program did not run")
        elif left > length + _SLACK:
            self._end(camera, "snooze ended: the wall clock was set back, so it is unknown how long it still lasts")
        else:
            camera.snooze.until = now + left
            log.warning("still snoozed: alarms are not published", camera=camera.name, seconds=round(left))

    def end_due(self, camera: WatchedCamera) -> None:
        """End a snooze that has run out."""
        if camera.snooze.over(self._clock.now()):
            self._end(camera, "snooze ended: alarms are published again")

    def _end(self, camera: WatchedCamera, why: str) -> None:
        camera.snooze.until = None
        if self._kept.pop(camera.name, None) is not None:
            self._journal.setting(camera.name, "snooze", None)
            log.info(why, camera=camera.name)
        self._topics.settings(camera)
