"""Commands that arrive over MQTT: parsed, coalesced, bounded. Pure.

Of many `enabled` or `threshold` commands for a camera, only the newest is kept until the scoring loop takes them, so a
flood costs the loop nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from engine.arrays import FloatArray
from stream.alarm.drawing import Drawing
from stream.alarm.event import EVENT_ID
from stream.alarm.snooze import LONGEST_SNOOZE

Verdict = Literal["true", "false_alarm"]
WORDS: Final = ("enabled", "threshold", "feedback", "test", "ack", "snooze")
RESET: Final = "reset"  # instead of a value: back to flags and site file
CHECK: Final = "mgfn-check"  # payload of `--check`, which is ignored
AUTO: Final = "auto"  # instead of a threshold: it is learned
FEEDBACK_LIMIT: Final = 1_000
_LONGEST_PAYLOAD: Final = 1_024
_LONGEST_NAME: Final = 64


@dataclass(frozen=True)
class Origin:
    """Who gave a command, as far as it is known, and through what."""

    who: str = ""
    via: Literal["MQTT", "page", "notification", "command line"] = "MQTT"


@dataclass(frozen=True)
class _Given:
    """Two commands that ask for the same are equal, whoever gave them."""

    origin: Origin = field(default=Origin(), kw_only=True, compare=False)


@dataclass(frozen=True)
class SetEnabled(_Given):
    """`enabled` None: back to the configured value."""

    camera: str
    enabled: bool | None


@dataclass(frozen=True)
class SetThreshold(_Given):
    """`threshold` None: back to the configured value; "auto": learned."""

    camera: str
    threshold: float | Literal["auto"] | None


@dataclass(frozen=True)
class GiveVerdict(_Given):
    """`event` is an id, or "latest" for the camera's last alarm. `verdict` None withdraws an earlier one."""

    camera: str
    event: str
    verdict: Verdict | None


@dataclass(frozen=True, eq=False)
class JudgedEvent:
    """A verdict that is stored, for the camera to learn from: given at `at` on an event that began at `start` (steady
    times) and reached `top_score`, scored by `bundle` (SHA-256). `feature` (crops, C) is that of its first clip; None
    if it is not stored.
    """

    camera: str
    event: str
    verdict: Verdict | None
    start: float
    top_score: float
    bundle: str
    at: float
    feature: FloatArray | None


@dataclass(frozen=True)
class Acknowledge(_Given):
    """`event` is an id, or "latest" for the camera's last alarm; `by` says who has answered it."""

    camera: str
    event: str
    by: str


@dataclass(frozen=True)
class SetSnooze(_Given):
    """`minutes` 0 ends a snooze."""

    camera: str
    minutes: float


@dataclass(frozen=True)
class SetMode(_Given):
    """`mode` is the name of a mode, or "auto". It concerns no single camera."""

    mode: str
    camera: str = ""


@dataclass(frozen=True)
class RunTest(_Given):
    camera: str


@dataclass(frozen=True)
class SetView(_Given):
    """`drawing` None: back to the site file."""

    camera: str
    drawing: Drawing | None


@dataclass(frozen=True)
class TakePicture(_Given):
    """Write the whole image of the camera to the `look_path` of the name `event`, which is no event's id."""

    camera: str
    event: str


@dataclass(frozen=True)
class Note(_Given):
    """What was done already, for the audit log only. `camera` empty: it concerns no single camera."""

    what: str
    value: str = ""
    camera: str = ""


Command = (
    SetEnabled | SetThreshold | GiveVerdict | JudgedEvent | Acknowledge | SetSnooze | SetMode | RunTest | SetView
    | TakePicture | Note
)  # fmt: skip
_OfEvent = GiveVerdict | JudgedEvent | Acknowledge | TakePicture  # one for each event is kept


def parse_command(camera: str, word: str, payload: bytes) -> Command:
    """The payload of `<camera>/<word>/set`. Raises ValueError that names what was given and what is allowed."""
    if word == "test":
        return RunTest(camera)
    if len(payload) > _LONGEST_PAYLOAD:
        raise ValueError(f"{len(payload)} bytes; must be at most {_LONGEST_PAYLOAD}")
    text = payload.decode("utf-8", "replace").strip()
    if word == "enabled":
        if text not in ("ON", "OFF", RESET):
            raise ValueError(f"{text[:40]!r}; must be ON, OFF or {RESET}")
        return SetEnabled(camera, None if text == RESET else text == "ON")
    if word == "threshold":
        if text == RESET:
            return SetThreshold(camera, None)
        if text == AUTO:
            return SetThreshold(camera, AUTO)
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not 0 <= number <= 1:
            raise ValueError(f"{text[:40]!r}; must be a number from 0 to 1, {AUTO} or {RESET}")
        return SetThreshold(camera, number)
    if word == "snooze":
        return SetSnooze(camera, _parse_minutes(text))
    return _parse_ack(camera, text) if word == "ack" else _parse_feedback(camera, text)


def _parse_minutes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= LONGEST_SNOOZE:
        raise ValueError(
            f"{text[:40]!r}; must be minutes from 0 (ends the snooze) to {LONGEST_SNOOZE:g}, which are 7 days; "
            "to switch a camera off for longer, disable it"
        )
    return number


def checked_name(by: object) -> str:
    """The name of a person or program that acknowledges. Raises ValueError."""
    if not isinstance(by, str) or not 1 <= len(by.strip()) <= _LONGEST_NAME or not by.isprintable():
        raise ValueError(f"by: {str(by)[:40]!r}; must be 1 to {_LONGEST_NAME} printable characters")
    return by.strip()


def _parse_ack(camera: str, text: str) -> Acknowledge:
    allowed = 'must be {"id": ID or "latest", "by": NAME}'
    try:
        given = json.loads(text)
        event, by = given["id"], given["by"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"{text[:40]!r}; {allowed}") from None
    name = checked_name(by)
    return Acknowledge(camera, _checked_event(event, f"{text[:80]!r}; {allowed}"), name, origin=Origin(name))


def _parse_feedback(camera: str, text: str) -> GiveVerdict:
    allowed = 'must be {"id": ID or "latest", "verdict": "true" or "false_alarm"}'
    try:
        given = json.loads(text)
        event, verdict = given["id"], given["verdict"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"{text[:40]!r}; {allowed}") from None
    if verdict not in get_args(Verdict):
        raise ValueError(f"{text[:80]!r}; {allowed}")
    return GiveVerdict(camera, _checked_event(event, f"{text[:80]!r}; {allowed}"), verdict)


def _checked_event(event: object, problem: str) -> str:
    if not isinstance(event, str):
        raise ValueError(problem)
    if event != "latest" and not EVENT_ID.fullmatch(event):
        raise ValueError(f"no such event: {event[:40]!r}")
    return event


class Inbox:
    """Commands that the scoring loop has not taken yet."""

    def __init__(self) -> None:
        self._commands: dict[tuple[str, ...], Command] = {}
        self._of_events = 0
        self.dropped = 0

    def put(self, command: Command) -> None:
        """Add a command; it replaces an older one of its kind for its camera (and its event, if it is about one)."""
        key: tuple[str, ...] = (type(command).__name__, command.camera)
        if isinstance(command, _OfEvent):
            key += (command.event,)
            if key not in self._commands and self._of_events >= FEEDBACK_LIMIT:
                self.dropped += 1
                return
            self._of_events += key not in self._commands
        elif isinstance(command, Note):
            key += (command.what, command.value)
        self._commands.pop(key, None)  # the newest goes to the end
        self._commands[key] = command

    def take(self) -> list[Command]:
        """All commands, in order of arrival; the inbox is empty afterwards."""
        commands, self._commands, self._of_events = self._commands, {}, 0
        return list(commands.values())
