"""Modes of the site, such as `home` and `away`: what they change, and which one is in force. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Schedule

BY_SCHEDULE: Final = "auto"  # instead of a name: the schedules choose
NO_MODE: Final = "none"  # the name while no mode is in force: the site file alone


@dataclass(frozen=True)
class CameraMode:
    """What a mode changes for a camera; None: nothing."""

    enabled: bool | None = None
    threshold_on: float | None = None
    false_alarms_per_day: float | None = None

    def over(self, other: CameraMode) -> CameraMode:
        """This one's changes, and those of `other` where this one has none."""
        enabled = other.enabled if self.enabled is None else self.enabled
        if self.threshold_on is None and self.false_alarms_per_day is None:
            return replace(other, enabled=enabled)
        return replace(self, enabled=enabled)

    def alarm(self, configured: AlarmSettings) -> AlarmSettings:
        """The alarm settings of a camera in this mode: a fixed threshold, or another budget for a learned one."""
        if self.threshold_on is not None:
            return configured.with_threshold(self.threshold_on)
        if self.false_alarms_per_day is not None:
            return replace(configured, false_alarms_per_day=self.false_alarms_per_day, learnt=True)
        return configured


@dataclass(frozen=True)
class Mode:
    """`every` holds for every camera, `cameras` for some. `recipients`: who is told beside MQTT; None: everybody.

    `schedule` None: in force when no other mode's schedule covers the time.
    """

    every: CameraMode = CameraMode()
    cameras: Mapping[str, CameraMode] = field(default_factory=dict)
    recipients: frozenset[str] | None = None
    schedule: Schedule | None = None

    def of(self, camera: str) -> CameraMode:
        """What it changes for a camera."""
        return self.cameras.get(camera, CameraMode()).over(self.every)


class ModeSwitch:
    """Which of `modes` is in force: the one that was `chosen`, or else the first whose schedule covers the time."""

    def __init__(self, modes: Mapping[str, Mode], chosen: str = BY_SCHEDULE) -> None:
        self.modes = modes
        self.chosen = chosen if chosen in modes else BY_SCHEDULE

    @property
    def options(self) -> Sequence[str]:
        """What can be chosen; nothing without modes."""
        return (*self.modes, BY_SCHEDULE) if self.modes else ()

    def replace(self, modes: Mapping[str, Mode]) -> None:
        """Other modes; a chosen one that is not among them is chosen no longer."""
        self.modes = modes
        self.chosen = self.chosen if self.chosen in modes else BY_SCHEDULE

    def choose(self, name: str) -> None:
        """Raises ValueError for an unknown mode."""
        if name not in self.options:
            allowed = f"must be {', '.join(self.options)}" if self.modes else "the site file has no `modes`"
            raise ValueError(f"no such mode: {name[:40]!r}; {allowed}")
        self.chosen = name

    def name(self, epoch: float) -> str:
        """The mode in force at that epoch time."""
        if self.chosen != BY_SCHEDULE:
            return self.chosen
        scheduled = (n for n, mode in self.modes.items() if mode.schedule is not None and mode.schedule.covers(epoch))
        others = (n for n, mode in self.modes.items() if mode.schedule is None)
        return next(scheduled, None) or next(others, NO_MODE)
