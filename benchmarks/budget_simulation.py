"""Does a camera keep its budget of false alarms? Thirty days of twenty simulated cameras, judged clip by clip.

The stream of a camera is made of raw head logits, one for each clip of 0.64 s: its own level and spread, noise that is
correlated over seconds and over minutes, a daily cycle of level and spread, bursts of ordinary activity with a heavy
tail, for some cameras one lasting change of the scene (noticed by the scene watch, or not), and now and then an
incident. Contrast and duration of incidents are given in the camera's own spreads, and may come from measured footage
(`--incidents FILE`: a JSON list of [contrast, seconds]).

Nothing here knows the rule that is judged, and the generator was committed before that rule was tuned. A rule sees one
day of one camera at a time, in order. Alarms come from the live alarm rule (two clips in a row, hysteresis, cool-down).
Run from the project's root: .venv/bin/python -m benchmarks.budget_simulation [--rule NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.alarm.threshold import Budget

FloatVector = NDArray[np.floating[Any]]
Span = tuple[float, float]

CLIP: Final = 0.64  # seconds
DAY: Final = 86_400.0
CLIPS_A_DAY: Final = round(DAY / CLIP)
BEFORE, AFTER = 1.0, 2.0  # seconds around an incident in which an alarm finds it
AGAIN: Final = 30.0  # seconds of ringing outside an incident after which a false alarm counts again


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
    """One day of one camera: `starts` (135000,) in seconds since the simulation began, `logits` alike.

    `incidents` are (start, end) in the same seconds. `moved` is when the scene watch told that the scene is another.
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
    """What stays with a camera."""

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
    character = _character(world, camera)
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


def _character(world: World, camera: int) -> _Character:
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


@dataclass(frozen=True)
class Rung:
    """An alarm: when it began (the first clip at the threshold), was told, and ended."""

    start: float
    told: float
    end: float


class Rule(Protocol):
    """What is judged: it sees a camera's days in order."""

    def alarms(self, day: Day) -> list[Rung]:
        """The alarms that were told in this day."""


class FixedThreshold:
    """The rule before calibration: one threshold on the head's score for every camera."""

    def __init__(self, threshold: float, min_duration: float) -> None:
        self._rule = AlarmRule(AlarmSettings(threshold, 0.75 * threshold, min_duration))

    def alarms(self, day: Day) -> list[Rung]:
        """The alarms that were told in this day."""
        scores = 1 / (1 + np.exp(-day.logits))
        return ring(self._rule, day.starts, scores, lowest=self._rule.settings.threshold_on)


def ring(rule: AlarmRule, starts: FloatVector, scores: FloatVector, lowest: float) -> list[Rung]:
    """The alarms of the live rule; clips that cannot change its state are left out."""
    found: list[Rung] = []
    told, index = 0.0, 0
    hot = np.flatnonzero(scores >= lowest)
    while index < len(starts):
        if not rule.active and rule.start_time is None:
            following = int(np.searchsorted(hot, index))
            if following == len(hot):
                break
            index = int(hot[following])
        start = rule.start_time
        change = rule.advance(ScoredClip(starts[index], starts[index] + CLIP, float(scores[index])))
        if change is Change.STARTED:
            told = starts[index] + CLIP
        elif change is Change.ENDED and start is not None:
            found.append(Rung(start, told or start, rule.end_time))
        index += 1
    return found


@dataclass
class Tally:
    """What one camera's rule did."""

    camera: int
    false_by_day: list[int] = field(default_factory=list)  # alarms that began
    lasting_by_day: list[int] = field(default_factory=list)  # and again for each 30 s that they lasted
    found: list[bool] = field(default_factory=list)  # by incident, from day 7 on
    found_early: list[bool] = field(default_factory=list)  # by incident, days 1 to 6
    delays: list[float] = field(default_factory=list)
    drift_day: int | None = None
    noticed: bool = False


def judge(world: World, camera: int, rule: Rule) -> Tally:
    """Run `rule` over the camera's days and count."""
    tally = Tally(camera)
    drift = _character(world, camera).drift
    if drift is not None:
        tally.drift_day, tally.noticed = int(drift.time // DAY) + 1, drift.noticed
    for day in camera_days(world, camera):
        rung = rule.alarms(day)
        hits = [_finds(alarm, day.incidents) for alarm in rung]
        false = [alarm for alarm, hit in zip(rung, hits, strict=True) if hit is None]
        tally.false_by_day.append(len(false))
        tally.lasting_by_day.append(sum(1 + int((alarm.end - alarm.start) // AGAIN) for alarm in false))
        for number, (begin, _) in enumerate(day.incidents):
            told = [alarm.told for alarm, hit in zip(rung, hits, strict=True) if hit == number]
            (tally.found if day.number >= 6 else tally.found_early).append(bool(told))
            tally.delays += [max(0.0, told[0] - begin)] if told else []
    return tally


def _finds(alarm: Rung, incidents: Sequence[Span]) -> int | None:
    for number, (begin, end) in enumerate(incidents):
        if begin - BEFORE <= alarm.start <= end + AFTER:
            return number
    return None


def report(world: World, tallies: Sequence[Tally]) -> dict[str, object]:
    """The figures that are printed and written."""
    first = [tally.false_by_day[0] for tally in tallies]
    later = [float(np.mean(tally.false_by_day[6:])) for tally in tallies]
    lasting = [float(np.mean(tally.lasting_by_day[6:])) for tally in tallies]
    found = [hit for tally in tallies for hit in tally.found]
    early = [hit for tally in tallies for hit in tally.found_early]
    delays = [delay for tally in tallies for delay in tally.delays]
    return {
        "world": asdict(world) | {"measured": len(world.measured)},
        "day_1": {"mean": float(np.mean(first)), "most": max(first), "cameras_at_most_3": sum(n <= 3 for n in first)},
        "from_day_7": {
            "mean": float(np.mean(later)),
            "most": max(later),
            "cameras_at_most_2": sum(mean <= 2 for mean in later),
            "mean_with_lasting": float(np.mean(lasting)),
        },
        "incidents": {
            "from_day_7": _share(found),
            "days_1_to_6": _share(early),
            "median_delay": float(np.median(delays)) if delays else None,
        },
        "cameras": [
            {
                "camera": tally.camera,
                "day_1": tally.false_by_day[0],
                "from_day_7": round(float(np.mean(tally.false_by_day[6:])), 3),
                "most_in_a_day": max(tally.false_by_day),
                "drift_day": tally.drift_day,
                "noticed": tally.noticed,
                "found": f"{sum(tally.found)} of {len(tally.found)}",
                "by_day": tally.false_by_day,
            }
            for tally in tallies
        ],
    }


def _share(hits: Sequence[bool]) -> dict[str, object]:
    """With the 95 % interval of Wilson."""
    count, total, z = sum(hits), len(hits), 1.96
    if not total:
        return {"found": 0, "of": 0, "share": None, "low": 0.0, "high": 1.0}
    share, width = count / total, z * z / total
    middle = (share + width / 2) / (1 + width)
    half = z / (1 + width) * math.sqrt(share * (1 - share) / total + width / (4 * total))
    return {"found": count, "of": total, "share": share, "low": middle - half, "high": middle + half}


@dataclass(frozen=True)
class Options:
    """Of the rule: `settings` of calibration beside those that a manifest measures, and seconds of the alarm rule."""

    settings: tuple[tuple[str, float], ...] = ()
    min_duration: float = 1.0


def _learnt(world: World, options: Options) -> Rule:
    """What ships. The prior is what a bundle's manifest would say of such cameras."""
    from benchmarks.calibrated_rule import CalibratedRule, manifest_of

    return CalibratedRule(manifest_of(world, options), Budget(1.0), options.min_duration)


RULES: Final[dict[str, Callable[[World, Options], Rule]]] = {
    "learnt": _learnt,
    "fixed": lambda _, options: FixedThreshold(0.63, options.min_duration),
}


def _judged(world: World, camera: int, name: str, options: Options) -> Tally:
    return judge(world, camera, RULES[name](world, options))


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, int(value) if value.isdigit() else float(value)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", choices=sorted(RULES), default="learnt")
    parser.add_argument("--incidents", type=Path, help="JSON list of [contrast in spreads, seconds]")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--min-duration", type=float, default=Options.min_duration, help="of the alarm rule, seconds")
    parser.add_argument("--setting", type=_setting, action="append", default=[], help="of calibration: smoothing=3")
    for name in ("cameras", "days", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(World, name))
    for name in ("contrast", "contrast_sigma", "incident_seconds", "incidents_a_day", "bursts_a_day", "burst_height"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(World, name))
    given = vars(parser.parse_args())
    name, incidents = given.pop("rule"), given.pop("incidents")
    target, workers = given.pop("json"), given.pop("workers")
    options = Options(tuple(given.pop("setting")), given.pop("min_duration"))
    measured = () if incidents is None else tuple((float(c), float(s)) for c, s in json.loads(incidents.read_text()))
    world = World(**given, measured=measured)
    jobs = [(world, camera, name, options) for camera in range(world.cameras)]
    began = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        tallies = list(pool.map(_judged, *zip(*jobs, strict=True)))
    figures = report(world, tallies)
    figures = {"rule": name, "options": asdict(options)} | figures | {"seconds": round(time.monotonic() - began, 1)}
    for key in ("day_1", "from_day_7", "incidents"):
        print(f"{key}: {json.dumps(figures[key])}")
    for camera in figures["cameras"]:  # type: ignore[attr-defined]
        print(json.dumps({key: value for key, value in camera.items() if key != "by_day"}))
    print(f"{figures['seconds']} s")
    if target is not None:
        target.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
