"""The benchmark: every recording is watched by a camera whose head and settings were made without its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from recipes.field.features import Footage
from recipes.field.judge import Verdict, judge, median_delay, rate_bound, share_interval
from recipes.field.prior import Camera, population, with_tail
from recipes.field.recordings import Recording
from recipes.field.watch import Combine, Parted, Scores, Watched, count, history, watch
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmSettings

BUDGETS: Final = (1.0, 6.0, 24.0, 96.0, 240.0, 768.0)  # false alarms a day
POINTS: Final = (24.0, 1.0)


@dataclass(frozen=True)
class Outcome:
    """The result of one recording at one budget."""

    recording: Recording
    watched: Watched
    verdict: Verdict


@dataclass(frozen=True)
class Held:
    """A group of sources, and what its recordings are scored with. All of it was made without these sources."""

    settings: CalibrationSettings
    scores: Mapping[str, Scores]  # by recording name


def held_out(
    recordings: Sequence[Recording],
    footages: Mapping[str, Footage],
    groups: Sequence[frozenset[str]],
    parted: Mapping[str, Parted],
    combine: Combine,
    chosen: Mapping[str, Any],
    alarm: AlarmSettings,
) -> tuple[list[Held], CalibrationSettings]:
    """For each group of sources: its scores, and the settings measured on the cameras of all other groups. Also
        returns the settings measured on all cameras, which are those that ship.

        Alarms are counted once per camera, with settings measured on all cameras. Each group sums the counts of the
    others.
    """
    scores = {name: parts.scores(combine) for name, parts in parted.items()}
    cameras = [
        Camera(recording.source, footages[recording.name], scores[recording.name])
        for recording in recordings
        if recording.name in scores and any(len(half) for _, half in scores[recording.name].halves)
    ]
    at_large = population(cameras, chosen)
    counted = [count(camera.footage, camera.scores, at_large, alarm) for camera in cameras]
    held = []
    for sources in groups:
        own = {r.name: scores[r.name] for r in recordings if r.source in sources and r.judged}
        if own:
            others = [index for index, camera in enumerate(cameras) if camera.source not in sources]
            settings = population([cameras[index] for index in others], chosen)
            held.append(Held(with_tail(settings, [counted[index] for index in others]), own))
    return held, with_tail(at_large, counted)


def outcomes(
    recordings: Mapping[str, Recording],
    footages: Mapping[str, Footage],
    held: Sequence[Held],
    alarm: AlarmSettings,
    *,
    settled: bool,
) -> list[Outcome]:
    """Every judged recording at one budget, as a new camera, or with five minutes of history if it has a calm part."""
    found = []
    for group in held:
        for name, scores in group.scores.items():
            footage, recording = footages[name], recordings[name]
            learnt = history(footage, scores.calm, group.settings, alarm) if settled else None
            part, raw = scores.judged if learnt is not None else (slice(0, len(scores.whole)), scores.whole)
            seen = watch(footage, part, raw, group.settings, alarm, learnt)
            shown = None
            if learnt is not None and scores.calm is not None:
                calm = scores.calm[0]
                shown = float(footage.start[calm][0]), float(footage.end[calm][-1])
            verdict = judge(seen.alarms, recording.incident, seen.begin, seen.end, shown)
            found.append(Outcome(recording, seen, verdict))
    return sorted(found, key=lambda outcome: outcome.recording.name)


def at_budget(alarm: AlarmSettings, budget: float) -> AlarmSettings:
    """The same settings with another budget of false alarms a day."""
    return replace(alarm, false_alarms_per_day=budget)


def summary(found: Sequence[Outcome]) -> dict[str, Any]:
    """Counts, shares with 95 % intervals, delays, and false alarms with an upper bound on their rate, as plain JSON."""
    incidents = [o for o in found if o.recording.incident is not None]
    groups = {
        "violent": [o for o in incidents if o.recording.incident and o.recording.incident.violent],
        "all": incidents,
        "acted": [o for o in incidents if o.recording.incident and o.recording.incident.acted],
        "acted falls": [o for o in incidents if _is_acted_fall(o)],
        "with history": [o for o in incidents if o.watched.had_history],
        "judged as new": [o for o in incidents if not o.watched.had_history],
    }
    for kind in sorted({o.recording.incident.kind for o in incidents if o.recording.incident}):
        groups[kind] = [o for o in incidents if o.recording.incident and o.recording.incident.kind == kind]
    ordinary = [o for o in found if o.recording.incident is None]
    seconds, false = sum(o.verdict.ordinary for o in found), sum(o.verdict.false for o in found)
    of_ordinary = sum(o.verdict.ordinary for o in ordinary), sum(o.verdict.false for o in ordinary)
    return {
        "found": {name: _share(group) for name, group in groups.items()},
        "delay_s": {
            "violent_found": _delay([o for o in groups["violent"] if o.verdict.found]),
            "violent_missed": sum(not o.verdict.found for o in groups["violent"]),
            "all_found": _delay([o for o in incidents if o.verdict.found]),
        },
        "false": _rate(false, seconds),
        "false_in_ordinary_recordings": _rate(of_ordinary[1], of_ordinary[0]),
    }


def _is_acted_fall(outcome: Outcome) -> bool:
    incident = outcome.recording.incident
    return incident is not None and incident.acted and incident.kind == "fall"


def _share(group: Sequence[Outcome]) -> dict[str, Any]:
    hits = [o.verdict.found for o in group]
    low, high = share_interval(hits, [o.recording.source for o in group])
    return {"found": sum(hits), "of": len(group), "low": round(low, 3), "high": round(high, 3)}


def _delay(group: Sequence[Outcome]) -> float | None:
    return round(median_delay([o.verdict.delay for o in group]), 2) if group else None


def _rate(false: int, seconds: float) -> dict[str, Any]:
    hours = seconds / 3600
    return {
        "count": false,
        "minutes": round(seconds / 60, 1),
        "an_hour": round(false / hours, 2),
        "an_hour_at_most": round(rate_bound(false, hours), 2),
    }


def ranks(
    held: Sequence[Held], recordings: Mapping[str, Recording], footages: Mapping[str, Footage]
) -> dict[str, float]:
    """AUC of clips inside incidents (violent ones, and all) against ordinary clips, by the score of the head."""
    from sklearn.metrics import roc_auc_score

    values: dict[str, list[float]] = {"ordinary": [], "violent": [], "other": []}
    for group in held:
        for name, scores in group.scores.items():
            incident = recordings[name].incident
            footage = footages[name]
            for start, end, value in zip(footage.start, footage.end, scores.whole, strict=True):
                if incident is None:
                    values["ordinary"].append(value)
                elif min(end, incident.end) - max(start, incident.start) >= 0.5 * (end - start):
                    values["violent" if incident.violent else "other"].append(value)
    ordinary = values["ordinary"]
    found = {}
    for name, positive in (("violent", values["violent"]), ("all", values["violent"] + values["other"])):
        truth = np.r_[np.zeros(len(ordinary)), np.ones(len(positive))]
        found[name] = round(float(roc_auc_score(truth, np.r_[ordinary, positive])), 3)
    return found
