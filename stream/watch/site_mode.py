"""Puts the mode of the site in force: cameras change their settings, and recipients are told or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from stream.alarm.drawing import Drawing
from stream.alarm.modes import BY_SCHEDULE, Mode, ModeSwitch
from stream.archive.clock import Clock
from stream.archive.journal import Journal
from stream.base.errors import StreamError
from stream.base.log import log
from stream.settings.settings import CameraConfig
from stream.watch.drawings import Drawings
from stream.watch.fleet import Fleet
from stream.watch.mode_topics import ModeTopics

_EVERY: Final = 1.0  # seconds between looks at the schedules


class SiteMode:
    """Used by the loop; `state` by other threads, too. `tell` gets the recipients of the mode (None: everybody)."""

    def __init__(
        self,
        switch: ModeSwitch,
        fleet: Fleet,
        drawings: Drawings,
        journal: Journal,
        topics: ModeTopics,
        clock: Clock,
        tell: Callable[[frozenset[str] | None], None],
    ) -> None:
        self._switch = switch
        self._fleet = fleet
        self._drawings = drawings
        self._journal = journal
        self._topics = topics
        self._clock = clock
        self._tell = tell
        self._cameras: Sequence[CameraConfig] = ()
        self._name: str | None = None
        self._told: Sequence[str] = ()
        self._look_at = 0.0

    def configure(self, cameras: Sequence[CameraConfig]) -> None:
        """Watch these cameras, as the mode in force changes them. Raises StreamError as `Fleet.configure` does."""
        if self.options != self._told:
            self._told = self.options
            self._topics.options(self._told)
        name = self._switch.name(self._clock.wall(self._clock.now()))
        mode = self._switch.modes.get(name, Mode())
        self._fleet.configure([_in_mode(self._drawings.applied(camera), mode) for camera in cameras])
        self._cameras = cameras
        self._tell(mode.recipients)
        if name != self._name and self._switch.modes:
            log.info("mode", mode=name, chosen=self._switch.chosen)
            self._topics.name(name)
        self._name = name

    @property
    def options(self) -> Sequence[str]:
        """What can be chosen; nothing without modes."""
        return self._switch.options

    def replace(self, modes: Mapping[str, Mode]) -> None:
        """Other modes, which `configure` puts in force."""
        if modes != self._switch.modes:
            chosen = self._switch.chosen
            self._switch.replace(modes)
            if self._switch.chosen != chosen:
                self._journal.setting("", "mode", None)  # a mode of that name must not be in force when it comes back
            self._name = None

    def draw(self, camera: str, drawing: Drawing | None) -> bool:
        """Put a drawing in force; None removes it. The camera is connected again. Returns whether it is another one."""
        changed = self._drawings.set(camera, drawing)
        log.info("view drawn" if drawing is not None else "drawing removed", camera=camera)
        try:
            self.configure(self._cameras)
        except StreamError as error:
            log.error("drawing not in force until the cameras are configured again", camera=camera, reason=str(error))
        return changed

    def choose(self, name: str) -> bool:
        """Choose a mode, or `auto`; it is kept over a restart. Returns whether it is another one."""
        before = self._switch.chosen
        try:
            self._switch.choose(name)
        except ValueError as error:
            log.warning("mode not changed", problem=str(error))
            return False
        self._journal.setting("", "mode", None if name == BY_SCHEDULE else name)
        self._look_at = 0.0
        return name != before

    def turn(self, now: float) -> None:
        """Put another mode in force, if it is time; `now` in seconds of the monotonic clock."""
        if now < self._look_at or not self._switch.modes:
            return
        self._look_at = now + _EVERY
        if self._switch.name(self._clock.wall(self._clock.now())) != self._name:
            self.configure(self._cameras)

    def disables(self, camera: str) -> bool:
        """Whether the mode in force switches the camera off. Any thread may call this."""
        return self._switch.modes.get(self._name or "", Mode()).of(camera).enabled is False

    def state(self) -> dict[str, Any] | None:
        """What the page shows; None without modes."""
        if not self._switch.modes:
            return None
        return {"name": self._name, "chosen": self._switch.chosen, "options": list(self._switch.options)}


def _in_mode(camera: CameraConfig, mode: Mode) -> CameraConfig:
    change = mode.of(camera.name)
    enabled = camera.enabled if change.enabled is None else change.enabled
    return replace(camera, enabled=enabled, alarm=change.alarm(camera.alarm))
