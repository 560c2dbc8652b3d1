"""The alarm budget on composed histories whose behaviour is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream.alarm.rule import AlarmSettings
from stream.archive.retention import DAY
from stream.archive.score_log import ScoreColumns
from stream.lookback.budget import interval, propose, scored_days
from stream.lookback.drift import changed, over_promise
from stream.lookback.what_if import alarms

RULE = AlarmSettings(0.5, 0.4)
CLIP = 0.64
START = 1_795_000_000.0
_MONTHS = 16
QUIET = np.rint(np.random.default_rng(0).beta(2, 18, 1 << 20) * 65_535).astype(np.uint16)  # about eight days


def composed(days: float, seed: int, busy: float = 0.0) -> ScoreColumns:
    """A quiet camera (scores near 0.1) with forty disturbances a day of 2 to 10 clips, whose levels fall off towards 1.

    `busy` makes days differ: the rate of a day is spread by that share.
    """
    rng = np.random.default_rng(seed)
    count = round(days * DAY / CLIP)
    values = np.resize(np.roll(QUIET, rng.integers(len(QUIET))), count)
    rates = np.maximum(0.0, 1 + busy * rng.normal(size=int(days) + 1)) * 40
    for day, rate in enumerate(rates):
        for _ in range(rng.poisson(rate)):
            at = int((day + rng.random()) * DAY / CLIP)
            length = int(rng.integers(2, 11))
            level = 0.3 + 0.7 * rng.beta(1, 3)
            values[at : at + length] = round(level * 65_535)
    starts = START + np.arange(count, dtype=np.float64) * CLIP
    windows = np.full(count, 32, np.uint8)
    return ScoreColumns(starts, np.full(count, 640, np.uint16), values, windows, np.zeros(count, np.bool_))


@pytest.mark.slow
@pytest.mark.parametrize("busy", [0.0, 0.3, 1.0])
def test_the_alarms_of_the_next_month_lie_within_the_stated_interval(busy: float) -> None:
    """Days alike; days that differ by a third; days of which some are quiet and others twice as busy."""
    inside, asked = [], (0.2, 2.0, 8.0)
    for seed in range(_MONTHS):
        month, next_one = composed(30, seed, busy), composed(30, seed + 100, busy)
        for per_day in asked:
            proposal = propose(month, RULE, per_day)
            assert proposal is not None
            assert proposal.method == ("extrapolated" if per_day * 30 < 10 else "counted")
            later = len(alarms(next_one, RULE.with_threshold(proposal.threshold))) / 30
            inside.append(proposal.low <= later <= proposal.high)
            assert proposal.high < 3 * per_day
    print(f"{sum(inside)} of {len(inside)} months within the stated 95 %")
    assert np.mean(inside) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("overlap", [2, 4])
@pytest.mark.parametrize("min_duration", [0.0, 1.2])
def test_clips_that_overlap_change_neither_the_time_nor_the_proposal(overlap: int, min_duration: float) -> None:
    """The same two weeks in clips end to end, and in clips of which `overlap` begin within the length of one."""
    plain, rule = composed(14, 3), replace(RULE, min_duration=min_duration)
    starts = START + np.arange(len(plain) * overlap, dtype=np.float64) * CLIP / overlap
    dense = ScoreColumns(
        starts, np.repeat(plain.spans, overlap), np.repeat(plain.values, overlap),
        np.repeat(plain.windows, overlap), np.repeat(plain.connects, overlap),
    )  # fmt: skip
    assert scored_days(dense) == pytest.approx(14, abs=0.001)
    for per_day in (0.2, 4.0):
        one, other = propose(plain, rule, per_day), propose(dense, rule, per_day)
        assert one is not None
        assert other is not None
        assert other.method == one.method
        assert other.days == pytest.approx(one.days, abs=0.001)
        assert other.threshold == pytest.approx(one.threshold, abs=0.03)
        assert other.per_day == pytest.approx(one.per_day, rel=0.2)


def test_what_operators_called_true_is_no_false_alarm_and_what_it_would_miss_is_named() -> None:
    scores = composed(4, 1)
    for level, at in ((0.97, 1000), (0.35, 2000)):
        scores.values[at : at + 10] = round(level * 65_535)
    true = [(START + at * CLIP, START + (at + 10) * CLIP) for at in (1000, 2000)]
    with_verdicts, without = propose(scores, RULE, 5.0, true), propose(scores, RULE, 5.0)
    assert with_verdicts is not None
    assert without is not None
    assert with_verdicts.threshold <= without.threshold
    assert (with_verdicts.found, with_verdicts.missed) == (1, (true[1],))


def test_too_little_history_gives_no_proposal_and_a_flat_one_the_lowest() -> None:
    assert propose(composed(0.4, 0), RULE, 2.0) is None
    flat = composed(2, 0)
    flat.values[:] = 100
    proposal = propose(flat, RULE, 2.0)
    assert proposal is not None
    assert (proposal.method, proposal.counted, proposal.low) == ("quiet", 0, 0.0)
    assert proposal.high > 1


def test_one_alarm_that_never_ends_keeps_no_budget() -> None:
    even = composed(2, 0)
    even.values[:] = round(0.3 * 65_535)
    proposal = propose(even, RULE, 2.0)
    assert proposal is not None
    assert proposal.threshold == pytest.approx(0.3, abs=0.002)
    assert alarms(even, RULE.with_threshold(proposal.threshold)) == []


def test_bursts_widen_the_interval() -> None:
    scores = composed(10, 0)
    even = [START + (i + 0.5) * DAY / 2 for i in range(20)]
    burst = [START + DAY + i for i in range(10)] + [START + 7 * DAY + i for i in range(10)]
    assert interval(burst, scores, 10)[1] > 1.3 * interval(even, scores, 10)[1]


@pytest.mark.slow
def test_a_changed_scene_is_reported_within_a_day_and_an_unchanged_one_is_not() -> None:
    scores = composed(12, 3, busy=0.3)
    ends = [START + (8 + day / 4) * DAY for day in range(13)]
    assert [changed(scores, end) for end in ends] == [""] * len(ends)
    # the tenth day begins with a brighter lamp: ordinary scores rise by half
    later = scores.starts >= START + 10 * DAY
    scores.values[later] = np.minimum(65_535, scores.values[later] * 1.6).astype(np.uint16)
    assert changed(scores, START + 10 * DAY) == ""
    assert "the scores have changed" in changed(scores, START + 11 * DAY)


@pytest.mark.slow
def test_shifts_at_any_hour_are_reported_within_a_day_and_hardly_ever_without_one() -> None:
    false, looks = 0, 0
    for seed in range(6):
        scores = composed(14, 40 + seed, busy=0.3)
        shifted = START + (10 + seed / 6) * DAY
        for hours in range(0, 72, 6):  # as often as the service looks, or nearly
            looks += 1
            false += changed(scores, shifted - 3 * DAY + hours * 3_600) != ""
        later = scores.starts >= shifted
        before = scores.values[later]
        for factor in (0.6, 1.6, 2.5):
            scores.values[later] = np.minimum(65_535, before * factor).astype(np.uint16)
            assert any(changed(scores, shifted + hours * 3_600) for hours in range(3, 25, 3)), (seed, factor)
    assert false <= 0.02 * looks


def test_more_alarms_than_promised_are_reported() -> None:
    scores = composed(5, 4)
    end = float(scores.starts[-1]) + 1
    assert over_promise(scores, RULE, end, 60.0) == ""
    assert "alarms in the last day; at most 1.0 a day" in over_promise(scores, RULE, end, 1.0)
