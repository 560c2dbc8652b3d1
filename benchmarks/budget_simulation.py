"""Tests whether a camera keeps its budget of false alarms: thirty days of twenty simulated cameras, clip by clip.

The cameras are those of `benchmarks.simulated_cameras`; contrast and duration of incidents may come from measured
footage (`--incidents FILE`: a JSON list of [contrast, seconds]). A rule sees one day of one camera at a time, in order.
Alarms come from the live alarm rule (two clips in a row, hysteresis, cool-down).

Run from the project's root: python -m benchmarks.budget_simulation [--rule NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.calibrated_rule import CalibratedRule, manifest_of
from benchmarks.simulated_cameras import DAY, Span, World, camera_days, character_of
from benchmarks.simulated_rules import FixedThreshold, Options, Rule, Rung
from stream.alarm.threshold import Budget

BEFORE, AFTER = 1.0, 2.0  # seconds around an incident in which an alarm finds it
AGAIN: Final = 30.0  # seconds of an alarm outside an incident after which a false alarm counts again


@dataclass
class Tally:
    """The results of one camera's rule."""

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
    drift = character_of(world, camera).drift
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


def _learnt(world: World, options: Options) -> Rule:
    """The shipped rule. The prior is what a bundle's manifest would contain for such cameras."""
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
