from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recipes.field.prior import exponential_tail


def test_the_tail_of_an_exponential_is_continued_as_it_is() -> None:
    """Forty alarms in an hour whose loudness falls by a factor of e in 1.5 spreads: the median of many such hours."""
    levels, rng, found = np.geomspace(2.5, 40.0, 64), np.random.default_rng(0), []
    for _ in range(60):
        peaks = 2.5 + rng.exponential(1.5, size=40)
        alarms = (peaks[:, None] >= levels).sum(axis=0).astype(np.float64)
        rows = exponential_tail(levels, alarms, seconds=3_600.0)
        assert all(b[0] > a[0] and b[1] < a[1] for a, b in pairwise(rows))
        z, rate = np.array(rows).T
        found.append(np.interp(np.log([240.0, 24.0, 1.0][::-1]), np.log(rate[::-1]), z[::-1])[::-1])
    expected = 2.5 + 1.5 * np.log(40 * 24 / np.array([240.0, 24.0, 1.0]))
    assert np.median(found, axis=0) == pytest.approx(expected, rel=0.1)


def test_without_any_alarm_there_is_still_a_rate() -> None:
    rows = exponential_tail(np.linspace(2.5, 40.0, 64), np.zeros(64), seconds=3_600.0)
    assert len(rows) >= 2
    assert rows[0][1] <= 24.0
