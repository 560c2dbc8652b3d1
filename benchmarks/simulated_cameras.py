"""Simulated cameras: raw head logits, one for each clip of 0.64 s.

A camera has its own level and spread, noise that is correlated over seconds and over minutes, a daily cycle of level
and spread, bursts of ordinary activity with a heavy tail, for some cameras one lasting change of the scene (noticed by
the scene watch, or not), and now and then an incident. Contrast and duration of incidents are given in the camera's own
spreads. Nothing here knows the rule that is judged; the generator was committed before that rule was tuned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

FloatVector = NDArray[np.floating[Any]]
Span = tuple[float, float]

CLIP: Final = 0.64  # seconds
DAY: Final = 86_400.0
CLIPS_A_DAY: Final = round(DAY / CLIP)


@dataclass(frozen=True)
class World:
    """What the cameras are like. Levels in logits; contrasts, amplitudes and shifts in a camera's own spreads."""

    cameras: int = 20
    days: int = 30
    seed: int = 0
    location: float = -2.0  # of the middle camera
    between: float = 0.8  # standard deviation of the cameras' locations, logits
    spread: float = 0.5  # of the middle camera, logits
    spread_sigma: float = 0.35  # of its logarithm, between cameras
    bursts_a_day: float = 20.0
    bursts_sigma: float = 0.7  # of its logarithm, between cameras
    burst_height: float = 1.3  # median
    burst_height_sigma: float = 0.55  # of its logarithm
    burst_seconds: float = 15.0  # median
    cycle: float = 0.8  # amplitude of the level's daily cycle, at most twice this
    drifting: float = 0.4  # share of cameras whose scene changes once
    incidents_a_day: float = 0.33
    contrast: float = 2.5  # median rise of an incident
    contrast_sigma: float = 0.5
    incident_seconds: float = 8.0  # median
    measured: tuple[tuple[float, float], ...] = ()  # (contrast, seconds) of real incidents, drawn instead


@dataclass(frozen=True)
class Day:
    """One day of one camera: `starts` (135000,) in seconds since the simulation began, and `logits`.

    `incidents` are (start, end) in the same seconds. `moved` is when the scene watch reported that the scene has
    changed.
    """

    camera: int
    number: int
    starts: FloatVector
    logits: FloatVector
    incidents: tuple[Span, ...]
    moved: float | None


@dataclass(frozen=True)
class _Drift:
    """A lasting change at `time`: the level rises by `shift` spreads, the spread grows by the factor `stretch`."""

    time: float
    shift: float
    stretch: float
    noticed: bool


@dataclass(frozen=True)
class _Character:
    """The permanent properties of a camera."""

    location: float
    spread: float
    bursts_a_day: float
    cycle: float
    peak_hour: float
    breathing: float  # log amplitude of the spread's daily cycle
    seconds: float  # time constants of the two correlated parts
    minutes: float
    shares: FloatVector  # variance of the part over seconds, over minutes, of white noise; sums to 1
    drift: _Drift | None


def camera_days(world: World, camera: int) -> Iterator[Day]:
    """The days of one camera, in order; the same for the same world."""
    character = character_of(world, camera)
    states = np.zeros(2)
    rng = np.random.default_rng([world.seed, camera, 1])
    for number in range(world.days):
        starts = number * DAY + CLIP * np.arange(CLIPS_A_DAY)
        noise = _noise(rng, character, states)
        busy = 0.5 + 0.5 * np.cos(2 * np.pi * (starts / 3600 - character.peak_hour) / 24)  # 1 at the peak hour
        weekend = 0.6 if number % 7 >= 5 else 1.0
        noise += _bursts(rng, world, character, starts, busy * weekend)
        shape = np.exp(character.breathing * (2 * busy - 1))
        level = character.cycle * (2 * busy - 1) * weekend
        incidents = tuple(_incidents(rng, world, number))
        rise = np.zeros(len(starts))
        for begin, end, contrast in incidents:
            _add(rise, starts, begin, end, contrast)
        drift, moved = character.drift, None
        if drift is not None:
            after = starts >= drift.time
            level = level + np.where(after, drift.shift, 0.0)
            shape = shape * np.where(after, drift.stretch, 1.0)
            if drift.noticed and starts[0] <= drift.time + 60 <= starts[-1]:
                moved = drift.time + 60
        logits = character.location + character.spread * (level + shape * noise + rise)
        yield Day(camera, number, starts, logits, tuple((begin, end) for begin, end, _ in incidents), moved)


def character_of(world: World, camera: int) -> _Character:
    """The random properties of a camera; the same for the same world."""
    rng = np.random.default_rng([world.seed, camera, 0])
    drift = None
    drawn = rng.random(), rng.uniform(9, max(10, world.days - 8)), rng.uniform(1, 3), rng.choice([-1.0, 1.0, 1.0])
    if drawn[0] < world.drifting:
        noticed = bool(rng.random() < 0.5)
        drift = _Drift(float(drawn[1]) * DAY, float(drawn[2] * drawn[3]), float(rng.uniform(0.7, 1.5)), noticed)
    return _Character(
        location=float(rng.normal(world.location, world.between)),
        spread=float(world.spread * np.exp(rng.normal(0, world.spread_sigma))),
        bursts_a_day=float(world.bursts_a_day * np.exp(rng.normal(0, world.bursts_sigma))),
        cycle=float(world.cycle * rng.uniform(0.3, 2)),
        peak_hour=float(rng.uniform(8, 20)),
        breathing=float(rng.uniform(0, 0.4)),
        seconds=float(rng.uniform(1.5, 5)),
        minutes=float(np.exp(rng.uniform(math.log(40), math.log(400)))),
        shares=rng.dirichlet([6, 5, 4]),
        drift=drift,
    )


def _noise(rng: np.random.Generator, character: _Character, states: FloatVector) -> FloatVector:
    """Two autoregressive parts and white noise, of variance 1 together; `states` carries over from day to day."""
    total = np.sqrt(character.shares[2]) * rng.standard_normal(CLIPS_A_DAY)
    for part, constant in enumerate((character.seconds, character.minutes)):
        keep = math.exp(-CLIP / constant)
        drive = math.sqrt(1 - keep * keep) * rng.standard_normal(CLIPS_A_DAY)
        values, last = lfilter([1.0], [1.0, -keep], drive, zi=[keep * states[part]])
        states[part] = last[0] / keep
        total += math.sqrt(float(character.shares[part])) * values
    return total


def _bursts(
    rng: np.random.Generator, world: World, character: _Character, starts: FloatVector, busy: FloatVector
) -> FloatVector:
    """Ordinary activity: someone comes near, a delivery, headlights. Heights have a heavy tail."""
    rise = np.zeros(len(starts))
    for place in rng.integers(len(starts), size=rng.poisson(2 * character.bursts_a_day)):
        lasts = world.burst_seconds * float(np.exp(rng.normal(0, 0.9)))
        height = world.burst_height * float(np.exp(rng.normal(0, world.burst_height_sigma)))
        if rng.random() < busy[place]:  # at the peak hour every one happens
            _add(rise, starts, float(starts[place]), float(starts[place]) + lasts, height)
    return rise


def _incidents(rng: np.random.Generator, world: World, number: int) -> Iterator[tuple[float, float, float]]:
    """(start, end, contrast) of the day's incidents."""
    for begin in np.sort(rng.uniform(60, DAY - 120, rng.poisson(world.incidents_a_day))):
        if world.measured:
            contrast, lasts = world.measured[int(rng.integers(len(world.measured)))]
        else:
            contrast = world.contrast * float(np.exp(rng.normal(0, world.contrast_sigma)))
            lasts = min(60.0, max(2.0, world.incident_seconds * float(np.exp(rng.normal(0, 0.6)))))
        yield number * DAY + float(begin), number * DAY + float(begin) + lasts, contrast


def _add(rise: FloatVector, starts: FloatVector, begin: float, end: float, height: float) -> None:
    """Raise the clips of [begin, end): up and down within a second at each side."""
    first, last = np.searchsorted(starts, (begin - CLIP, end + CLIP))
    times = starts[first:last] + CLIP / 2
    edge = np.minimum(times - begin, end - times) + 0.5
    rise[first:last] += height * np.clip(edge, 0, 1)
