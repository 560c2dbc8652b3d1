"""Alarms that nobody answers, told as a time line."""

from __future__ import annotations

from typing import Any

import pytest

from stream.alarm.escalation import MOST, Escalation
from stream.alarm.event import Acknowledgement
from tests.events import event_message

ONE, TWO = "1000.00-aaaaaa", "1001.00-bbbbbb"


def test_it_is_repeated_until_somebody_answers() -> None:
    escalation = Escalation(300.0)
    escalation.said(event_message(id=ONE, camera="door"), 0.0)
    escalation.said(event_message(id=TWO, camera="yard"), 100.0)
    assert escalation.due(299.0) == []
    assert escalation.due(300.0) == [("door", ONE)]
    assert escalation.due(301.0) == []
    assert escalation.due(410.0) == [("yard", TWO)]
    escalation.said(event_message(id=ONE, type="end"), 500.0)  # that it is over is no answer
    assert escalation.due(600.0) == [("door", ONE)]
    escalation.said(event_message(id=ONE, type="ack"), 700.0)
    escalation.answered(TWO)
    assert escalation.due(5_000.0) == []


def test_it_does_not_go_on_for_ever() -> None:
    escalation = Escalation(60.0)
    escalation.said(event_message(), 0.0)
    assert sum(len(escalation.due(60.0 * minute)) for minute in range(100)) == MOST


@pytest.mark.parametrize(
    "changes",
    [
        {"test": True},
        {"severity": "notice"},
        {"suppressed": "snooze"},
        {"label": "camera_lost"},
        {"acknowledged": Acknowledgement(1.0, "anna")},
        {"type": "media"},
    ],
)
def test_what_is_never_escalated(changes: dict[str, Any]) -> None:
    escalation = Escalation(1.0)
    escalation.said(event_message(**changes), 0.0)
    assert escalation.due(1e9) == []


def test_without_the_setting_nothing_is() -> None:
    escalation = Escalation(None)
    escalation.said(event_message(), 0.0)
    assert escalation.due(1e9) == []
