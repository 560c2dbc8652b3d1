"""Queries over the data folder: what-if, threshold for a budget, and whether a threshold still fits.

Used by `mgfn-events` and by the web page. Only `apply` changes a threshold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from typing import Any, Final

from stream.alarm.requests import AUTO, Origin, SetThreshold
from stream.alarm.rule import AlarmSettings
from stream.alarm.schedule import Schedule, kept_schedule
from stream.archive.retention import DAY
from stream.archive.score_epoch import Scale, ScoreEpoch, kept_threshold
from stream.archive.score_log import ScoreColumns
from stream.archive.store import Store
from stream.base.errors import UsageError
from stream.lookback.audit import note
from stream.lookback.budget import Proposal, propose, scored_days
from stream.lookback.drift import changed, over_promise
from stream.lookback.what_if import WouldBe, alarms

LOOK_BACK: Final = 30 * DAY
_DEFAULT: Final = AlarmSettings(0.5, 0.4)


@dataclass(frozen=True)
class Answer:
    """What a camera would have done with `settings` in `days` of scored time."""

    camera: str
    settings: AlarmSettings
    days: float
    alarms: list[WouldBe]
    zone: tzinfo | None = None  # that of the camera; None means that of the machine
    left_out_before: float | None = None  # epoch seconds: earlier scores are from another bundle

    def as_json(self) -> dict[str, Any]:
        return {
            "camera": self.camera,
            "threshold": self.settings.threshold_on,
            "min_duration": self.settings.min_duration,
            "days": round(self.days, 3),
            "left_out_before": self.left_out_before,
            "alarms": [asdict(alarm) for alarm in self.alarms],
        }


def rule_of(store: Store, camera: str) -> AlarmSettings:
    """The alarm settings in force: those of the service, with a threshold that was set since."""
    kept = store.settings.of(camera)
    rule = AlarmSettings(**json.loads(kept["alarm"])) if "alarm" in kept else _DEFAULT
    threshold = kept_threshold(kept, _scale(kept))
    return rule if threshold in (None, AUTO) else rule.with_threshold(float(threshold))


def _scale(kept: Mapping[str, str]) -> Scale:
    epoch = ScoreEpoch.kept(kept)
    return "raw" if epoch is None else epoch.scale


@dataclass(frozen=True)
class History:
    """The `scores` of a camera from its current bundle; if `left_out_before` is set (epoch seconds), older ones are
    left out.

        Scores of another bundle are on another scale, and no threshold fits both.
    """

    scores: ScoreColumns
    left_out_before: float | None = None


def history_of(store: Store, camera: str, since: float, until: float) -> History:
    """The comparable scores of a camera in this period (epoch seconds)."""
    scores = store.scores.columns(camera, since, until)
    epoch = ScoreEpoch.kept(store.settings.of(camera))
    if epoch is None or epoch.since <= since:
        return History(scores)
    comparable = scores.between(epoch.since, until)
    return History(comparable, None if len(comparable) == len(scores) else epoch.since)


def armed(store: Store, camera: str, scores: ScoreColumns) -> ScoreColumns:
    """The scores within the camera's current schedule, as if it had always been in force."""
    return scores.armed(schedule_of(store, camera).covered(scores.starts))


def schedule_of(store: Store, camera: str) -> Schedule:
    """The camera's schedule in force."""
    kept = store.settings.of(camera).get("schedule")
    return Schedule() if kept is None else kept_schedule(kept)


def cameras(store: Store, named: str | None) -> list[str]:
    """The cameras to answer for. Raises UsageError for one without scores."""
    known = store.scores.cameras()
    if named is not None and named not in known:
        there = ", ".join(known) or "none"
        raise UsageError(
            f"--camera {named}: no scores are stored for it (they are stored once a minute); "
            f"cameras with scores: {there}"
        )
    return known if named is None else [named]


def what_if(store: Store, camera: str, history: History, threshold: float | None, min_duration: float | None) -> Answer:
    """The alarms that these settings would have raised for the `history` of a camera; None leaves a setting
    unchanged.
    """
    rule = rule_of(store, camera)
    if threshold is not None:
        rule = rule.with_threshold(threshold)
    if min_duration is not None:
        rule = replace(rule, min_duration=min_duration)
    would_be, zone = alarms(armed(store, camera, history.scores), rule), schedule_of(store, camera).zone
    return Answer(camera, rule, scored_days(history.scores), would_be, zone, history.left_out_before)


@dataclass(frozen=True)
class Suggestion:
    """A camera's proposal (None: too little history), its current threshold, and why that no longer fits ("": it
    does).
    """

    camera: str
    now: float
    days: float
    proposal: Proposal | None
    misfit: str
    zone: tzinfo | None = None
    left_out_before: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "camera": self.camera,
            "threshold_now": self.now,
            "days": round(self.days, 2),
            "misfit": self.misfit,
            "left_out_before": self.left_out_before,
            "proposal": None if self.proposal is None else asdict(self.proposal),
        }


def suggest(store: Store, camera: str, per_day: float, until: float) -> Suggestion:
    """A threshold for `per_day` false alarms per day, from the last 30 days and the operator's verdicts."""
    rule = rule_of(store, camera)
    found = history_of(store, camera, until - LOOK_BACK, until)
    scores, since = found.scores, found.left_out_before or until - LOOK_BACK
    true = store.events.verdicts(camera, "true", since)
    days = scored_days(scores)
    proposal = propose(armed(store, camera, scores), rule, per_day, true, days)
    misfit, zone = drift_of(store, camera, scores, rule, until), schedule_of(store, camera).zone
    return Suggestion(camera, rule.threshold_on, days, proposal, misfit, zone, found.left_out_before)


def drift_of(store: Store, camera: str, scores: ScoreColumns, rule: AlarmSettings, until: float) -> str:
    """Why the threshold in force no longer fits the `scores`, or ""; also checks a promise that was made."""
    promised = json.loads(store.settings.of(camera).get("budget", "{}"))
    broken = ""
    if promised.get("threshold") == rule.threshold_on:  # it was set later, and nothing was promised for it
        broken = over_promise(armed(store, camera, scores), rule, until, promised["high"])
    return broken or changed(scores, until)


def apply(store: Store, suggestion: Suggestion, origin: Origin) -> None:
    """Put a proposal into force, at once if mgfn-stream is running, otherwise at its start; stores what was promised,
    and who did it.
    """
    proposal = suggestion.proposal
    if proposal is None:
        return
    promised = {name: getattr(proposal, name) for name in ("threshold", "per_day", "low", "high")}
    with store.transaction():
        scale = _scale(store.settings.of(suggestion.camera))
        store.settings.set(suggestion.camera, "threshold_scale", scale)
        store.settings.set(suggestion.camera, "threshold", repr(proposal.threshold))
        store.settings.set(suggestion.camera, "budget", json.dumps(promised))
        note(store, SetThreshold(suggestion.camera, proposal.threshold, origin=origin))
