"""Detects that a camera's latest scores differ from its history, so that another threshold is needed.

Pure. The last twelve hours are compared with the same hours of earlier days, so that nights are compared with nights.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from stream.alarm.rule import AlarmSettings
from stream.archive.retention import DAY
from stream.archive.score_log import ScoreColumns
from stream.lookback.what_if import alarms

SPAN: Final = DAY / 2
_DAYS: Final = 30
_FEWEST_DAYS: Final = 3
_SCORED: Final = 0.25  # share of the span that must be scored
_QUANTILES: Final = (0.5, 0.9, 0.99)
_SMALLEST_SPREAD: Final = 0.1  # in log-odds; smaller variations of a history are treated as this much
_FAR: Final = 4.0


def over_promise(scores: ScoreColumns, rule: AlarmSettings, now: float, promised: float) -> str:
    """A message if the last day of `scores` (within the schedule) has far more alarms than `promised`, or "".

    `now` is in epoch seconds; `promised` is the upper end of the alarms per day that an applied proposal promised.
    """
    last = len(alarms(scores.between(now - DAY, now), rule))
    bearable = promised + 3 * math.sqrt(promised) + 1
    return f"{last} alarms in the last day; at most {promised:.1f} a day were expected" if last > bearable else ""


def changed(scores: ScoreColumns, now: float) -> str:
    """How the last hours differ from the history, or "". `now` in epoch seconds."""
    scores = scores.in_order()
    looks = [_look(scores, now - day * DAY) for day in range(1 + _DAYS)]
    today, earlier = looks[0], [look for look in looks[1:] if look is not None]
    if today is None or len(earlier) < _FEWEST_DAYS:
        return ""
    history = np.stack(earlier)
    usual = np.median(history, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(history - usual), axis=0), _SMALLEST_SPREAD)
    far = np.abs(today - usual) / spread
    worst = int(np.argmax(far))
    if far[worst] < _FAR:
        return ""
    then, found = (1 / (1 + math.exp(-float(odds[worst]))) for odds in (usual, today))
    which = ("half", "nine in ten", "99 in 100")[worst]
    return (
        f"the scores have changed: in the last twelve hours {which} are below {found:.3f}, "
        f"in the same hours of {len(earlier)} earlier days {which} were below {then:.3f}"
    )


def _look(scores: ScoreColumns, until: float) -> np.ndarray | None:
    """Quantiles of the twelve hours before `until`, as log-odds; None if too little was scored."""
    first, last = np.searchsorted(scores.starts, [until - SPAN, until])
    if scores.lasting[first:last].sum() < _SCORED * SPAN:
        return None
    found = np.quantile(scores.values[first:last] / 65_535, _QUANTILES).clip(1e-3, 1 - 1e-3)
    return np.asarray(np.log(found / (1 - found)))
