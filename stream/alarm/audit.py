"""Who changed what: one entry for each command of an operator. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from stream.alarm.requests import (
    Acknowledge,
    Command,
    GiveVerdict,
    JudgedEvent,
    Note,
    RunTest,
    SetEnabled,
    SetMode,
    SetSnooze,
    SetThreshold,
    SetView,
    TakePicture,
)


@dataclass(frozen=True)
class Change:
    """A change at epoch time `at`: `what` became `value`. `camera` is empty for what concerns the whole site."""

    at: float
    who: str
    via: str
    camera: str
    what: str
    value: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def change_of(command: Command, at: float) -> Change | None:
    """The entry for a command; None for what is no command of a person."""
    if isinstance(command, JudgedEvent | TakePicture):
        return None
    what, value = _described(command)
    return Change(at, command.origin.who, command.origin.via, command.camera, what, value)


def _described(command: Command) -> tuple[str, str]:
    match command:
        case SetEnabled(enabled=enabled):
            return "enabled", "reset" if enabled is None else "on" if enabled else "off"
        case SetThreshold(threshold=threshold):
            return "threshold", "reset" if threshold is None else str(threshold)
        case SetSnooze(minutes=minutes):
            return "snooze", f"{minutes:g} min" if minutes else "off"
        case SetMode(mode=mode):
            return "mode", mode
        case GiveVerdict(event=event, verdict=verdict):
            return "verdict", f"{event} {verdict or 'withdrawn'}"
        case Acknowledge(event=event):
            return "acknowledged", event
        case SetView(drawing=drawing):
            return "view", "reset" if drawing is None else "drawn"
        case RunTest():
            return "test", ""
        case Note(what=what, value=value):
            return what, value
        case _:  # no command of a person
            return type(command).__name__, ""
