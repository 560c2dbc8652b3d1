"""Verdicts teach: suppressed look-alikes expire, are shown and can be taken back; a true one protects."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.arrays import FloatArray
from stream.alarm.codec import CalibrationError
from stream.alarm.lookalikes import LookAlikes, LookAlikeSettings
from tests.stream.alarm.cameras import feature

DAY = 86_400.0


def near(kind: int, share: float = 0.0, other: int = 50) -> FloatArray:
    return ((1 - share) * feature(kind, 1_024) + share * feature(other, 1_024)).astype(np.float32)


def test_what_resembles_a_false_alarm_is_named_until_it_expires() -> None:
    lookalikes = LookAlikes(LookAlikeSettings(days=30))
    lookalikes.add("a", "false_alarm", near(1), 0.0)
    assert lookalikes.match(near(1, 0.01), DAY) == "a"
    assert lookalikes.match(near(2), DAY) is None
    assert lookalikes.match(near(1, 0.01), 31 * DAY) is None
    assert [(example.id, expires) for example, expires in lookalikes.listed(DAY)] == [("a", 30 * DAY)]
    assert lookalikes.listed(31 * DAY) == []


def test_zero_days_switch_it_off() -> None:
    lookalikes = LookAlikes(LookAlikeSettings(days=0))
    lookalikes.add("a", "false_alarm", near(1), 0.0)
    assert lookalikes.match(near(1), 0.0) is None


def test_a_true_one_protects_its_like_and_raises_it() -> None:
    lookalikes = LookAlikes()
    lookalikes.add("a", "false_alarm", near(1), 0.0)
    lookalikes.add("b", "true", near(1, 0.025), 0.0)
    assert lookalikes.match(near(1, 0.022), 1.0) is None
    assert lookalikes.match(near(1), 1.0) == "a"
    assert lookalikes.bonus(near(1, 0.025), 1.0) == pytest.approx(1, abs=0.01)
    assert 0 < lookalikes.bonus(near(1, 0.022), 1.0) < 1
    assert lookalikes.bonus(near(1), 1.0) == 0
    assert lookalikes.bonus(near(3), 1.0) == 0
    assert lookalikes.bonus(near(1, 0.025), 300 * DAY) > 0  # a true one does not expire


def test_a_verdict_is_replaced_and_revoked() -> None:
    lookalikes = LookAlikes()
    lookalikes.add("a", "false_alarm", near(1), 0.0)
    lookalikes.add("a", "true", near(1), 5.0)
    assert lookalikes.match(near(1), 6.0) is None
    lookalikes.add("a", "false_alarm", near(1), 7.0)
    assert lookalikes.revoke("a")
    assert not lookalikes.revoke("a")
    assert lookalikes.match(near(1), 8.0) is None


def test_bounded_and_kept_over_a_restart() -> None:
    lookalikes = LookAlikes()
    for number in range(100):
        lookalikes.add(f"{number}", "false_alarm", near(number), float(number))
        lookalikes.add(f"t{number}", "true", near(number + 500), float(number))
    text = json.dumps(lookalikes.to_json())
    assert len(text) < 120_000
    again = LookAlikes.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.match(near(99), 100.0) == "99"
    assert again.match(near(10), 100.0) is None  # the oldest have gone


def test_wrong_content_is_refused() -> None:
    lookalikes = LookAlikes()
    lookalikes.add("a", "false_alarm", near(1), 0.0)
    with pytest.raises(ValueError, match="feature has 7 channels, the camera's verdicts have 1024"):
        lookalikes.match(feature(1, 7), 0.0)
    changes: list[dict[str, object]] = [{"schema": 9}, {"channels": 12}, {"verdicts": [{}]}, {"verdicts": 1}]
    for change in changes:
        with pytest.raises(CalibrationError) as caught:
            LookAlikes.from_json(lookalikes.to_json() | change)
        assert "\n" not in str(caught.value)
