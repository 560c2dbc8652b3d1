"""Takes over and gives up cameras that several instances share, as their leases say.

A camera that is taken over is as after a restart, with what its last owner stored. While another instance speaks for
it, it is watched but silent: its newest clips wait, so that nothing is missed when it changes hands.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from stream.alarm.requests import Acknowledge, Command, GiveVerdict, SetView
from stream.archive.clock import Clock
from stream.archive.retention import DAY, Retention
from stream.base.errors import UsageError
from stream.base.log import log
from stream.base.ownership import SITE, Ownership, Settings
from stream.settings.settings import CameraConfig
from stream.sinks.mqtt import MqttSink
from stream.watch.checkpoint import Checkpoint
from stream.watch.decoder_process import DecoderProcess
from stream.watch.reporter import Reporter
from stream.watch.scheduling import LONGEST_WAIT
from stream.watch.watched_camera import WatchedCamera, unlisted

WINDOW_GAP: Final = 20.0  # seconds after which a window is not continued: its own length
KEPT_EVERY: Final = 5.0  # seconds
MOST_BYTES: Final = 4 * 2**20
_ORPHAN: Final = "no worker can watch it: none has its labels"


class Leases(Ownership, ABC):
    """The leases of an instance that shares its cameras, and which cameras it watches (a `CameraChanges`)."""

    site: Sequence[CameraConfig]  # all cameras, whoever watches them

    @property
    @abstractmethod
    def fault(self) -> str:
        """Why the instance must end, "" if it need not."""

    @property
    @abstractmethod
    def standing(self) -> Mapping[str, Any]:
        """What this instance tells people of itself (`stream.cluster.standing`): another object whenever it changes."""

    @property
    @abstractmethod
    def leaving(self) -> frozenset[str]:
        """Cameras that another instance is ready to take."""

    @property
    @abstractmethod
    def orphans(self) -> frozenset[str]:
        """Cameras that are ours because no instance can watch them."""

    @abstractmethod
    def found(self, camera: str) -> Mapping[str, Any] | None:
        """What its last owner saved of a camera that is ours now; None if there is nothing."""

    @abstractmethod
    def keep(self, camera: str, checkpoint: bytes) -> None:
        """Save it for the next owner."""

    @abstractmethod
    def let_go(self, camera: str, checkpoint: bytes | None) -> None:
        """We do not speak for a camera that is leaving. Of several calls, the first checkpoint counts."""

    @abstractmethod
    def watches(self, ready: frozenset[str], delivers: frozenset[str]) -> None:
        """Cameras that deliver clips: silent ones, and ours."""

    @abstractmethod
    def renew(self) -> None:
        """Body of a thread: renew, claim and hand over leases until `end`."""

    @abstractmethod
    def end(self, renewal: Callable[[float], None]) -> None:
        """Everything is published: release what is ours, so that others need not wait. `renewal` waits at most so many
        seconds for `renew` to return.
        """

    @abstractmethod
    def take(self) -> Sequence[CameraConfig] | None: ...

    @abstractmethod
    def retry(self) -> None: ...

    @abstractmethod
    def run(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...


class Custody:
    """Used only by the loop. `mqtt` is None if nothing is published."""

    def __init__(
        self,
        leases: Leases,
        decoders: Sequence[DecoderProcess],
        report: Reporter,
        mqtt: MqttSink | None,
        clock: Clock,
        retention: Retention,
    ) -> None:
        self._leases = leases
        self._decoders = decoders
        self._report = report
        self._mqtt = mqtt
        self._clock = clock
        self._retention = retention
        self._site: int | None = None
        self._told: frozenset[str] = frozenset()  # orphans
        self._spoken: dict[str, int] = {}  # the last fence under which we spoke for a camera
        self._next_kept: dict[str, float] = {}

    def turn(self) -> None:
        """Follow the leases. Raises UsageError if this instance must not go on."""
        if self._leases.fault:
            raise UsageError(self._leases.fault)
        leaving = self._leases.leaving
        for decoder in self._decoders:
            camera, fence = decoder.camera, self._leases.fence(decoder.camera.name)
            if camera.is_self_test:
                camera.fence = fence
            elif camera.name in leaving:
                if camera.silent:  # we had not begun to speak for it, or have ended that already
                    self._leases.let_go(camera.name, None)
                else:
                    taken = self._report.pictures.taken(camera.name)
                    self._end(decoder)
                    self._leases.let_go(camera.name, self._checkpoint(camera, taken))
            elif camera.fence != fence:
                if not camera.silent:
                    log.warning("lease of a camera lost", camera=camera.name)
                    self._end(decoder)
                if fence is not None:
                    self._take_over(decoder, fence)
        watched = {d.camera.name: d for d in self._decoders}
        for name in leaving - watched.keys():
            self._leases.let_go(name, None)
        ready = frozenset(name for name, each in watched.items() if each.camera.silent and each.pending_clips)
        delivers = (name for name, each in watched.items() if not each.camera.silent and each.camera.presence.available)
        self._leases.watches(ready, frozenset(delivers))
        self._speak_for_site()

    @property
    def names(self) -> tuple[str, ...]:
        """All cameras of the site."""
        return self._leases.names

    @property
    def site_fence(self) -> int | None:
        return self._leases.fence(SITE)

    def obeys(self, command: Command) -> bool:
        """Whether a command is for this instance; each receives all of them."""
        if isinstance(command, SetView):
            log.warning("drawing not kept: cameras are shared, so write it into the site file", camera=command.camera)
            return False
        latest = isinstance(command, GiveVerdict | Acknowledge) and command.event == "latest"
        return not latest or self._leases.fence(command.camera) is not None

    def keep_due(self, now: float) -> None:
        """Save the camera that has waited longest, if it is time; `now` in seconds of a monotonic clock."""
        ours = (decoder.camera for decoder in self._decoders if _worth_keeping(decoder.camera))
        for camera in islice((camera for camera in ours if now >= self._next_kept.get(camera.name, 0)), 1):
            self._next_kept[camera.name] = now + KEPT_EVERY
            taken = self._report.pictures.taken(camera.name)
            if (checkpoint := self._checkpoint(camera, taken)) is not None:
                self._leases.keep(camera.name, checkpoint)

    def empty_old_pictures(self, now: float) -> None:
        """Empty what the broker retains of alarms that are too old, whoever has their files; `now`: epoch time."""
        for decoder in self._decoders:
            own = decoder.config.retention.media_days
            days = self._retention.media_days if own is None else own
            if not decoder.camera.silent:
                self._report.pictures.empty_older(decoder.camera.name, now - days * DAY)

    def keep_all(self) -> None:
        """At the end: save every camera that is ours."""
        for camera in [d.camera for d in self._decoders if _worth_keeping(d.camera)]:
            if (checkpoint := self._checkpoint(camera, self._report.pictures.taken(camera.name))) is not None:
                self._leases.keep(camera.name, checkpoint)

    def _end(self, decoder: DecoderProcess) -> None:
        """Stop speaking for a camera; what is open ends under the old lease."""
        camera = decoder.camera
        decoder.shed_pending()
        self._report.events.close(decoder, "moved")
        decoder.pending_messages.lost()
        self._report.events.release(decoder)
        self._report.memory.keep_learnt(camera)
        self._report.leave(camera)
        camera.silent, camera.fence = True, None

    def _take_over(self, decoder: DecoderProcess, fence: int) -> None:
        camera = decoder.camera
        found = self._found(camera.name)
        # there may be one, which is kept from now on for as long as a new one
        picture = time.time() if found.picture == "unknown" else found.picture
        if found.fence <= self._spoken.get(camera.name, -1):
            found = Checkpoint()  # we know more than that
        self._spoken[camera.name] = fence
        camera.fence, camera.silent = fence, False
        camera.interrupt()
        if found.settings:
            self._adopt(camera, found.settings)
        self._report.introduce(camera)
        if picture is not None:
            self._report.pictures.adopt(camera.name, picture)
        continued = self._continue_window(decoder, found)
        log.info("camera taken over", camera=camera.name, fence=fence, window=len(camera.window), continued=continued)

    def _found(self, camera: str) -> Checkpoint:
        if (told := self._leases.found(camera)) is not None:
            try:
                return Checkpoint.from_json(told)
            except ValueError:
                log.warning("checkpoint ignored: not of this program", camera=camera)
        return Checkpoint()

    def _adopt(self, camera: WatchedCamera, settings: Settings) -> None:
        self._report.memory.adopt(camera.name, settings)
        self._report.overrides.adopt(camera.name, settings)

    def _continue_window(self, decoder: DecoderProcess, found: Checkpoint) -> bool:
        """Score only clips that the last owner has not scored, and continue its window if it ran the same bundle."""
        camera, shift = decoder.camera, self._clock.mark.shift
        while decoder.pending_clips and time.monotonic() - decoder.pending_clips[0].arrival > LONGEST_WAIT / 2:
            decoder.give_back(decoder.pending_clips.popleft().slot)
        if found.window is None:
            return False
        until = found.until - shift
        decoder.scored_until = until
        while decoder.pending_clips and decoder.pending_clips[0].start < until:
            decoder.give_back(decoder.pending_clips.popleft().slot)
        if found.bundle != camera.model.sha256 or self._clock.now() - until > WINDOW_GAP:
            return False
        try:
            camera.window.recall(found.window, shift)
        except ValueError as error:  # the window fills anew
            log.warning("stored window cannot be used", camera=camera.name, reason=str(error))
            return False
        self._report.topics.status(camera)
        return True

    def _checkpoint(self, camera: WatchedCamera, picture: float | None) -> bytes | None:
        """`picture`: when the image was taken that the broker retains."""
        kept: dict[str, Any] = {
            "schema": 1,
            "bundle": camera.model.sha256,
            "fence": camera.fence if camera.fence is not None else self._spoken.get(camera.name, 0),
            "time": time.time(),
            "picture": picture,
            "settings": self._report.memory.kept(camera) | self._report.overrides.kept(camera.name),
        }
        if len(camera.window):
            kept["window"] = camera.window.to_json(self._clock.wall)
        encoded = json.dumps(kept).encode()
        if len(encoded) > MOST_BYTES:
            log.warning("camera not saved for its next owner: too large", camera=camera.name, bytes=len(encoded))
            return None
        return encoded

    def _speak_for_site(self) -> None:
        """Publish what belongs to the site, and cameras that nobody can watch."""
        site = self._leases.fence(SITE)
        if site is not None and site != self._site and self._mqtt is not None:
            self._mqtt.publish_again()
        self._site = site
        orphans = self._leases.orphans
        for camera in orphans - self._told if self._mqtt is not None else ():
            log.error("camera not watched", camera=camera, reason=_ORPHAN)
            self._mqtt.camera_status(camera, "offline", available=False, problem=_ORPHAN)  # type: ignore[union-attr]
        self._told = orphans


def _worth_keeping(camera: WatchedCamera) -> bool:
    return not unlisted(camera) and len(camera.window) > 0
