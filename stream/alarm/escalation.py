"""Alarms that nobody has answered: when others are told of them. Pure: time is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream.alarm.event import EventMessage

MOST: Final = 10  # times for each alarm


@dataclass
class _Unanswered:
    camera: str
    due: float
    told: int = 0


class Escalation:
    """An alarm is escalated every `after` seconds (None: never) until somebody answers it, at most `MOST` times.

    An acknowledgement answers it, and so does a verdict. `answered` may be called from any thread.
    """

    def __init__(self, after: float | None) -> None:
        self._after = after
        self._unanswered: dict[str, _Unanswered] = {}

    def said(self, message: EventMessage, now: float) -> None:
        """A message of an event; `now` in seconds of the clock of `due`."""
        if message.type == "ack":
            self.answered(message.id)
        elif message.type == "new":
            self.open(message, now)

    def open(self, message: EventMessage, since: float) -> None:
        """An event that nobody has answered `since` then. Only published alarms are escalated, and no tests."""
        alarm = message.label == "anomaly" and message.severity == "alarm" and not message.test
        if self._after is not None and alarm and message.suppressed is None and message.acknowledged is None:
            self._unanswered[message.id] = _Unanswered(message.camera, since + self._after)

    def answered(self, event_id: str) -> None:
        """Somebody has answered it."""
        self._unanswered.pop(event_id, None)

    def due(self, now: float) -> list[tuple[str, str]]:
        """Camera and id of each alarm that is to be escalated now."""
        found = []
        for event_id, alarm in list(self._unanswered.items()):
            if self._after is None or now < alarm.due:
                continue
            found.append((alarm.camera, event_id))
            alarm.told, alarm.due = alarm.told + 1, now + self._after
            if alarm.told >= MOST:
                self.answered(event_id)
        return found
