"""When an alarm finds an incident, and what a false alarm is. Pure.

An alarm finds an incident if it starts between EARLY seconds before the incident's start and LATE seconds after its
end. An alarm that began earlier does not find it. Any other alarm is false, and counts again for every AGAIN seconds
that it lasts outside an incident.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recipes.field.recordings import Incident

EARLY: Final = 1.0
LATE: Final = 2.0
AGAIN: Final = 30.0


@dataclass(frozen=True)
class Alarm:
    """Times in seconds of media time. The alarm was raised at the end of the clip that completed it."""

    start: float
    rang: float
    end: float
    event: str = ""


@dataclass(frozen=True)
class Verdict:
    """How the alarms on one recording are judged.

    `delay`: seconds from the incident's start until the alarm was raised, None if missed. `ordinary`: seconds in which
    an alarm would have been false. `false_at`: when each false alarm began.
    """

    found: bool
    delay: float | None
    false: int
    ordinary: float
    false_at: tuple[float, ...] = ()


def judge(
    alarms: Sequence[Alarm],
    incident: Incident | None,
    begin: float,
    end: float,
    history: tuple[float, float] | None = None,
) -> Verdict:
    """Judge the alarms between `begin` and `end`.

    Seconds that were the camera's `history` are not ordinary time, but an alarm in them is false.
    """
    opens, closes = (math.inf, math.inf) if incident is None else (incident.start - EARLY, incident.end + LATE)
    ordinary = end - begin
    if incident is not None:
        ordinary -= max(0.0, min(end, closes) - max(begin, opens))
    if history is not None:
        ordinary -= max(0.0, min(end, history[1]) - max(begin, history[0]))
    hits = [alarm for alarm in alarms if opens <= alarm.start <= closes]
    false = 0
    false_at = []
    for alarm in alarms:
        if alarm in hits:
            continue
        outside = max(0.0, alarm.end - alarm.start) - max(0.0, min(alarm.end, closes) - max(alarm.start, opens))
        false += 1 + int(outside / AGAIN)
        false_at.append(alarm.start)
    delay = None if incident is None or not hits else max(0.0, hits[0].rang - incident.start)
    return Verdict(bool(hits), delay, false, ordinary, tuple(false_at))


def rate_bound(false: int, hours: float, confidence: float = 0.95) -> float:
    """Upper bound on false alarms per hour, for a Poisson process with `false` of them in `hours`."""
    from scipy.stats import chi2

    return float(chi2.ppf(confidence, 2 * (false + 1)) / 2 / hours)


def median_delay(delays: Sequence[float | None]) -> float:
    """The median delay; a missed incident counts as infinite."""
    return float(np.median([math.inf if delay is None else delay for delay in delays])) if delays else math.nan


def share_interval(
    found: Sequence[bool], sources: Sequence[str], rounds: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the share of incidents found, by bootstrap over sources."""
    if not found:
        return math.nan, math.nan
    names = sorted(set(sources))
    by_source = [[f for f, s in zip(found, sources, strict=True) if s == name] for name in names]
    hits = np.array([sum(group) for group in by_source])
    counts = np.array([len(group) for group in by_source])
    drawn = np.random.default_rng(seed).integers(len(names), size=(rounds, len(names)))
    shares = hits[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(low), float(high)
