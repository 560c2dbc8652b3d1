"""The learnt threshold: monotonic in the budget, fading prior, quick where the last hours are not like the history."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.alarm.codec import CalibrationError
from stream.alarm.tail import AlarmCounts
from stream.alarm.threshold import Budget, State, learnt_threshold, prior_rates
from tests.stream.alarm.cameras import CLIP, RULE, SETTINGS


def counts_of(alarms: list[tuple[float, float]], hours: float) -> AlarmCounts:
    """Alarms at (hour, z), of four clips each, in `hours` of watching."""
    counts = AlarmCounts(SETTINGS, RULE)
    pending = sorted(alarms)
    for minute in range(int(hours * 60)):
        start = minute * 60.0
        if pending and pending[0][0] * 3_600 <= start:
            _, z = pending.pop(0)
            for index in range(4):
                counts.advance(start + index * CLIP, start + (index + 1) * CLIP, z)
            start += 4 * CLIP
        counts.advance(start, minute * 60 + 60.0, 0.0)
    return counts


def test_without_history_the_prior_counts() -> None:
    found = learnt_threshold(AlarmCounts(SETTINGS, RULE), Budget(1.0), SETTINGS)
    assert found.state is State.LEARNING
    rows = dict(SETTINGS.tail)
    assert 8.0 < found.z < 9.0
    assert found.per_day == pytest.approx(1.0)
    assert found.low < 1 < found.high
    assert np.interp(5.0, AlarmCounts(SETTINGS, RULE).levels, prior_rates(SETTINGS)) == pytest.approx(
        rows[5.0], rel=0.05
    )


def test_a_calm_camera_comes_down_and_a_restless_one_goes_up() -> None:
    start = learnt_threshold(AlarmCounts(SETTINGS, RULE), Budget(1.0), SETTINGS).z
    calm = learnt_threshold(counts_of([], 10 * 24), Budget(1.0), SETTINGS)
    restless = learnt_threshold(counts_of([(6.0 * n + 1, 9.0) for n in range(40)], 10 * 24), Budget(1.0), SETTINGS)
    assert calm.z < start < 9 < restless.z < 10
    assert calm.state is restless.state is State.SETTLED
    assert calm.high < 3


def test_alarms_of_the_last_hours_are_answered_at_once() -> None:
    before = counts_of([], 10 * 24)
    lowest = learnt_threshold(before, Budget(1.0), SETTINGS).z
    burst = [(240 + n / 4, 8.0 + n / 10) for n in range(8)]
    found = learnt_threshold(counts_of(burst, 243), Budget(1.0), SETTINGS)
    assert found.state is State.DRIFTING
    assert found.recent
    assert found.z > 8 > lowest
    calmed = learnt_threshold(counts_of(burst, 243 + 60), Budget(1.0), SETTINGS)
    assert calmed.z < found.z
    assert calmed.state is State.SETTLED


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0, 70), st.floats(2.6, 20)), max_size=12),
    st.lists(st.floats(0.01, 200), min_size=2, max_size=6),
)
def test_a_larger_budget_never_raises_the_threshold(alarms: list[tuple[float, float]], budgets: list[float]) -> None:
    counts = counts_of(alarms, 72)
    found = [learnt_threshold(counts, Budget(per_day), SETTINGS) for per_day in sorted(budgets)]
    assert all(b.z <= a.z + 1e-9 for a, b in pairwise(found))
    assert all(SETTINGS.threshold_least <= one.z <= SETTINGS.threshold_most for one in found)
    assert all(one.low <= one.per_day <= one.high for one in found)


@pytest.mark.parametrize("given", [(0.0, None), (-1.0, None), (float("nan"), None), (1.0, 1.5), (1.0, float("nan"))])
def test_a_wrong_budget_is_refused(given: tuple[float, float | None]) -> None:
    with pytest.raises(CalibrationError, match=r"false_alarms_per_day|threshold"):
        Budget(*given)
