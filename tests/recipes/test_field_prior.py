from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from recipes.field.prior import exponential_tail


def test_the_tail_of_an_exponential_is_continued_as_it_is() -> None:
    levels = np.linspace(2.5, 40.0, 400)
    alarms = np.floor(1000 * np.exp(-(levels - 2.5) / 1.5))  # 1.5 spreads for a factor of e
    rows = exponential_tail(levels, alarms, seconds=86_400.0)
    assert all(b[0] > a[0] and b[1] < a[1] for a, b in pairwise(rows))
    z = np.array([row[0] for row in rows])
    rate = np.array([row[1] for row in rows])
    assert np.exp(np.interp(6.0, z, np.log(rate))) == pytest.approx(1000 * np.exp(-3.5 / 1.5), rel=0.2)
    last = rows[-1]
    assert last[1] == pytest.approx(1000 * np.exp(-(last[0] - 2.5) / 1.5), rel=0.8)


def test_without_any_alarm_there_is_still_a_rate() -> None:
    rows = exponential_tail(np.linspace(2.5, 40.0, 64), np.zeros(64), seconds=3_600.0)
    assert len(rows) >= 2
    assert rows[0][1] <= 24.0
