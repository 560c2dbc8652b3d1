"""Commands over MQTT: what is understood, what is not, and what a flood leaves."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.alarm.requests import (
    FEEDBACK_LIMIT,
    WORDS,
    Acknowledge,
    GiveVerdict,
    Inbox,
    RunTest,
    SetEnabled,
    SetSnooze,
    SetThreshold,
    parse_command,
)

ID = "1795466000.12-a1b2c3"


@pytest.mark.parametrize(
    ("word", "payload", "command"),
    [
        ("enabled", b"ON", SetEnabled("door", True)),
        ("enabled", b"OFF\n", SetEnabled("door", False)),
        ("enabled", b"reset", SetEnabled("door", None)),
        ("threshold", b" reset\n", SetThreshold("door", None)),
        ("threshold", b"0.73", SetThreshold("door", 0.73)),
        ("threshold", b"1", SetThreshold("door", 1.0)),
        ("feedback", b'{"id":"latest","verdict":"false_alarm"}', GiveVerdict("door", "latest", "false_alarm")),
        ("feedback", f'{{"id":"{ID}","verdict":"true"}}'.encode(), GiveVerdict("door", ID, "true")),
        ("ack", b'{"id":"latest","by":" Anna \xc3\x84. "}', Acknowledge("door", "latest", "Anna \u00c4.")),
        ("ack", f'{{"id":"{ID}","by":"phone"}}'.encode(), Acknowledge("door", ID, "phone")),
        ("snooze", b" 90\n", SetSnooze("door", 90.0)),
        ("snooze", b"0", SetSnooze("door", 0.0)),
        ("test", b"", RunTest("door")),
        ("test", b"\xff" * 5000, RunTest("door")),
    ],
)
def test_understood(word: str, payload: bytes, command: object) -> None:
    assert parse_command("door", word, payload) == command


@pytest.mark.parametrize(
    ("word", "payload", "says"),
    [
        ("enabled", b"on", "must be ON, OFF or reset"),
        ("enabled", b"", "must be ON, OFF or reset"),
        ("enabled", b"\xff\xfe", "must be ON, OFF or reset"),
        ("threshold", b"1.01", "must be a number from 0 to 1"),
        ("threshold", b"-0.1", "must be a number from 0 to 1"),
        ("threshold", b"nan", "must be a number from 0 to 1"),
        ("threshold", b"inf", "must be a number from 0 to 1"),
        ("threshold", b"", "must be a number from 0 to 1, auto or reset"),
        ("threshold", b"0,5", "must be a number from 0 to 1"),
        ("threshold", b"0" * 2000, "2000 bytes; must be at most 1024"),
        (
            "snooze",
            b"5256000",
            r"minutes from 0 \(ends the snooze\) to 10080, which are 7 days; to switch a camera off",
        ),
        ("snooze", b"-1", "'-1'; must be minutes from 0"),
        ("snooze", b"nan", "must be minutes from 0"),
        ("snooze", b"an hour", "'an hour'; must be minutes from 0"),
        ("ack", b"latest", 'must be {"id": ID or "latest", "by": NAME}'),
        ("ack", b'{"id":"latest"}', 'must be {"id": ID or "latest", "by": NAME}'),
        ("ack", b'{"id":7,"by":"anna"}', 'must be {"id": ID or "latest", "by": NAME}'),
        ("ack", b'{"id":"front","by":"anna"}', "no such event: 'front'"),
        ("ack", b'{"id":"latest","by":" "}', "by: ' '; must be 1 to 64 printable characters"),
        ("ack", b'{"id":"latest","by":"a\\nb"}', "must be 1 to 64 printable characters"),
        ("feedback", b"", "must be"),
        ("feedback", b"[]", "must be"),
        ("feedback", b'{"id":"latest"}', "must be"),
        ("feedback", b'{"id":"latest","verdict":"maybe"}', "must be"),
        ("feedback", b'{"id":"latest","verdict":["true"]}', "must be"),
        ("feedback", b'{"id":"../../etc","verdict":"true"}', r"no such event: '\.\./"),
        ("feedback", b'{"id":7,"verdict":"true"}', "must be"),
        ("feedback", b"[" * 1000, "must be"),
    ],
)
def test_refused_with_what_is_allowed(word: str, payload: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_command("door", word, payload)


@given(st.sampled_from(WORDS), st.binary(max_size=100))
def test_nothing_else_ever_happens(word: str, payload: bytes) -> None:
    with suppress(ValueError):
        assert parse_command("door", word, payload).camera == "door"


def test_a_flood_leaves_the_last_word_of_each_kind() -> None:
    inbox = Inbox()
    for number in range(10_000):
        inbox.put(SetThreshold("door", number / 10_000))
        inbox.put(SetEnabled("door", number % 2 == 0))
        inbox.put(SetThreshold("yard", 0.5))
    assert inbox.take() == [SetThreshold("door", 0.9999), SetEnabled("door", False), SetThreshold("yard", 0.5)]
    assert inbox.take() == []


def test_verdicts_are_bounded() -> None:
    inbox = Inbox()
    for number in range(FEEDBACK_LIMIT + 5):
        inbox.put(GiveVerdict("door", f"{number}.00-abcdef", "true"))
    inbox.put(GiveVerdict("door", "0.00-abcdef", "false_alarm"))
    assert inbox.dropped == 5
    taken = inbox.take()
    assert len(taken) == FEEDBACK_LIMIT
    assert taken[-1] == GiveVerdict("door", "0.00-abcdef", "false_alarm")
