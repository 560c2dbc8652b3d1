"""The counts of alarms at every threshold are those of the live rule."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.alarm.tail import AlarmCounts
from tests.stream.alarm.cameras import CLIP, RULE, SETTINGS


def live(z: np.ndarray, threshold: float, rule: AlarmSettings) -> int:
    running = AlarmRule(rule.with_threshold(SETTINGS.score(threshold)))
    scored = [ScoredClip(i * CLIP, (i + 1) * CLIP, SETTINGS.score(value)) for i, value in enumerate(z)]
    return sum(running.advance(clip) is Change.STARTED for clip in scored)


@pytest.mark.parametrize(
    "rule", [RULE, AlarmSettings(0.5, 0.5, min_duration=0.5), AlarmSettings(0.5, 0.25, 1.9, 5.0, 6.0)]
)
@pytest.mark.parametrize("seed", range(4))
def test_counted_is_what_the_live_rule_would_ring(seed: int, rule: AlarmSettings) -> None:
    rng = np.random.default_rng(seed)
    z = np.repeat(rng.gamma(1.5, 2, 600), rng.integers(1, 6, 600)) + rng.normal(0, 0.5)
    counts = AlarmCounts(SETTINGS, rule)
    for index, value in enumerate(z):
        counts.advance(index * CLIP, (index + 1) * CLIP, float(value))
    found, seconds = counts.recent(24)
    assert seconds == pytest.approx(len(z) * CLIP)
    for place in range(0, 64, 3):
        # the hourly cap is not counted
        expected = live(z, float(counts.levels[place]), rule)
        assert found[place] == expected or expected >= 60


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_the_time_that_overlapping_clips_share_is_watched_once(stride: int) -> None:
    counts = AlarmCounts(SETTINGS, RULE)
    for index in range(500):
        start = index * stride / 25
        counts.advance(start, start + CLIP, 0.0)
    counts.interrupt()
    counts.advance(1_000.0, 1_000.0 + CLIP, 0.0)
    assert counts.recent(24)[1] == pytest.approx(499 * stride / 25 + 2 * CLIP)


def test_a_new_connection_ends_what_is_open() -> None:
    counts = AlarmCounts(SETTINGS, RULE)
    for index in range(4):
        counts.advance(index * CLIP, (index + 1) * CLIP, 6.0)
    assert not counts.idle
    counts.interrupt()
    assert counts.idle
    for index in range(4):
        counts.advance(30 + index * CLIP, 30 + (index + 1) * CLIP, 6.0)
    assert counts.recent(1)[0][0] == 2


def test_days_and_hours_pass_out_of_memory() -> None:
    counts = AlarmCounts(SETTINGS, RULE)
    for day in range(80):
        for index in range(3):
            counts.advance(86_400 * day + index * CLIP, 86_400 * day + (index + 1) * CLIP, 9.0)
        counts.advance(86_400 * day + 60, 86_400 * day + 61, 0.0)
    assert len(counts.by_day()) == 60
    assert counts.recent(24)[0][0] == 1
    remembered = counts.remembered(10.0)[0][0]
    assert remembered == pytest.approx(1 / (1 - 0.5**0.1), rel=0.05)
    again = AlarmCounts.from_json(json.loads(json.dumps(counts.to_json())), SETTINGS, RULE)
    assert again.remembered(10.0)[0][0] == remembered
