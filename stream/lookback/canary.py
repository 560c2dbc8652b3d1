"""Compares a canary with the live bundle: scores of the same clips, and alarms of both. Pure, but for `found_in`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any, Final

from configs.command import called
from stream.alarm.event import EventMessage
from stream.archive.canary_store import Alarm, CanarySpan, Pairs
from stream.archive.event_store import ListedEvent
from stream.archive.retention import DAY
from stream.archive.store import Store

_ROUNDED: Final = 0.001  # seconds: what times of events are rounded to
_NEAR: Final = 10.0  # seconds: alarms of both bundles that are no further apart are of one incident
_ENOUGH: Final = DAY  # of each camera on average; by then its threshold is learned, too
_MOST_SKIPPED: Final = 0.2  # share of the clips
_MOST_MISSING: Final = 0.25  # of the time of an alarm


@dataclass(frozen=True)
class LiveAlarm:
    """An alarm that was raised: when, in epoch seconds, and whether it was marked as true."""

    id: str
    start: float
    end: float
    top_score: float
    verdict: str | None


@dataclass(frozen=True)
class Compared:
    """One camera, or all together. `seconds` and `pairs` are of the clips that both bundles scored.

    both: alarms of the live bundle that the canary would have raised, too.
    only_live: alarms that the canary would not have raised; only_canary: those that only it would have raised.
    unknown: alarms of the live bundle of which the canary missed too many clips.
    """

    camera: str
    seconds: float
    scored: int
    skipped: int
    pairs: Pairs
    canary_alarms: int
    both: int
    only_live: tuple[LiveAlarm, ...]
    only_canary: tuple[Alarm, ...]
    unknown: int
    learning: bool
    fault: str

    @property
    def live_alarms(self) -> int:
        return self.both + len(self.only_live) + self.unknown

    @property
    def skipped_share(self) -> float:
        return self.skipped / max(1, self.scored + self.skipped)

    def as_json(self) -> dict[str, Any]:
        return {
            "camera": self.camera,
            "hours": round(self.seconds / 3_600, 3),
            "clips": {"scored": self.scored, "skipped": self.skipped, "compared": self.pairs.clips},
            "scores": {
                "correlation": _rounded(self.pairs.correlation),
                "mean_difference": _rounded(self.pairs.mean_difference),
                "largest_difference": _rounded(self.pairs.furthest) if self.pairs.clips else None,
                "largest_difference_time": self.pairs.furthest_at,
            },
            "alarms": {
                "live": self.live_alarms,
                "canary": self.canary_alarms,
                "both": self.both,
                "unknown": self.unknown,
                "only_live": [asdict(alarm) for alarm in self.only_live],
                "only_canary": [{"start": a, "end": b, "top_score": _rounded(top)} for a, b, top in self.only_canary],
            },
            "learning": self.learning,
            "fault": self.fault,
        }


@dataclass(frozen=True)
class Found:
    """What data folders hold: spans, and alarms by camera."""

    spans: tuple[CanarySpan, ...]
    events: tuple[ListedEvent, ...]

    def __add__(self, other: Found) -> Found:
        return Found((*self.spans, *other.spans), (*self.events, *other.events))


NOTHING: Final = Found((), ())


def found_in(store: Store, since: float) -> Found:
    """Spans and raised alarms of one data folder since that epoch time."""
    spans = store.canary.spans(since)
    events = store.events.since(min(span.start for span in spans) - _ROUNDED) if spans else []
    return Found(tuple(spans), tuple(each for each in events if _raised(each.message)))


def _raised(message: EventMessage) -> bool:
    """Whether the rule raised it as an alarm: snoozed or not, but no look-alike, and none over the cap."""
    about = message.label == "anomaly" and message.severity == "alarm" and not message.test
    return about and message.suppressed in (None, "snooze")


@dataclass(frozen=True)
class Comparison:
    """`live` and `canary`: the names of the bundles; "" if nothing is stored. `total` is of all cameras."""

    live: str
    canary: str
    cameras: tuple[Compared, ...]
    total: Compared

    @property
    def verdict(self) -> tuple[str, str]:
        """One sentence on the canary, and the next step."""
        total, count = self.total, len(self.cameras)
        if not count:
            return (
                "Nothing is stored: a canary stores its comparison every ten minutes, and when the service stops.",
                "Name a bundle under `canary` in the site file, and restart mgfn-stream (docs/cluster.md).",
            )
        if total.fault:
            return f"The canary stopped: {total.fault}.", "Keep the live bundle, and mend or remove the canary's."
        if total.skipped_share > _MOST_SKIPPED:
            return (
                f"The canary could not score {total.skipped_share:.0%} of the clips, so this says little.",
                "Choose a smaller `share`, or a machine with time to spare.",
            )
        hours = total.seconds / count / 3_600
        learning = sum(each.learning for each in self.cameras)
        true = sum(alarm.verdict == "true" for alarm in total.only_live)
        if true:
            return (
                f"The canary would have missed {true} of the alarms that were marked as true.",
                f"Keep the live bundle, or look at these alarms first: {called('mgfn-events')} list.",
            )
        if hours < _ENOUGH / 3_600 or learning:
            still = f", and still learns the threshold of {learning} of {count} cameras" if learning else ""
            return (
                f"Too early to say: the canary has scored {hours:.1f} hours of each camera on average{still}.",
                f"Wait until it has scored {_ENOUGH / 3_600:.0f} hours, and judge the alarms meanwhile.",
            )
        differ = len(total.only_live) + len(total.only_canary)
        if differ:
            return (
                f"{differ} alarms differ: {len(total.only_live)} only of the live bundle, none of them marked as true, "
                f"and {len(total.only_canary)} only of the canary.",
                "Look at what happened at these times; if you prefer the canary's, make it the live bundle.",
            )
        return "Both bundles raise the same alarms.", "Make the canary's bundle the live one (docs/cluster.md)."

    def as_json(self) -> dict[str, Any]:
        says, then = self.verdict
        return {
            "live": self.live,
            "canary": self.canary,
            "cameras": [each.as_json() for each in self.cameras],
            "total": self.total.as_json(),
            "verdict": says,
            "next": then,
        }


def compare(found: Found) -> Comparison:
    """Compare the two bundles that were compared last; spans of others are left out."""
    if not found.spans:
        return Comparison("", "", (), _sum([]))
    newest = max(found.spans, key=lambda span: span.end)
    cameras: dict[str, list[CanarySpan]] = {}
    for span in sorted(found.spans, key=lambda span: span.start):
        if span.bundles == newest.bundles:
            cameras.setdefault(span.camera, []).append(span)
    compared = [_camera(name, spans, found.events) for name, spans in sorted(cameras.items())]
    return Comparison(newest.live, newest.canary, tuple(compared), _sum(compared))


def _camera(name: str, spans: Sequence[CanarySpan], events: Iterable[ListedEvent]) -> Compared:
    live = [
        LiveAlarm(m.id, m.start_time, m.start_time if m.end_time is None else m.end_time, m.top_score, each.verdict)
        for each in events
        if (m := each.message).camera == name
        and any(span.start - _ROUNDED <= m.start_time < span.end for span in spans)
    ]
    canary = list({alarm[0]: alarm for span in spans for alarm in span.alarms}.values())  # the last of those still open
    gaps = [gap for span in spans for gap in span.gaps]
    matched = {alarm.id for alarm in live if any(_near(alarm, other) for other in canary)}
    missing = [alarm for alarm in live if alarm.id not in matched and _missing(alarm, gaps) > _MOST_MISSING]
    return Compared(
        name,
        sum(span.seconds for span in spans),
        sum(span.scored for span in spans),
        sum(span.skipped for span in spans),
        reduce(add, (span.pairs for span in spans), Pairs()),
        len(canary),
        len(matched),
        tuple(alarm for alarm in live if alarm.id not in matched and alarm not in missing),
        tuple(alarm for alarm in canary if not any(_near(other, alarm) for other in live)),
        len(missing),
        spans[-1].learning,
        spans[-1].fault,
    )


def _near(live: LiveAlarm, canary: Alarm) -> bool:
    return live.start - _NEAR <= canary[1] and canary[0] <= live.end + _NEAR


def _missing(alarm: LiveAlarm, gaps: Iterable[tuple[float, float]]) -> float:
    """The share of an alarm's time, at least a second, whose clips the canary has not scored."""
    lasted = max(1.0, alarm.end - alarm.start)
    return sum(max(0.0, min(end, alarm.start + lasted) - max(begin, alarm.start)) for begin, end in gaps) / lasted


def _sum(cameras: Sequence[Compared]) -> Compared:
    return Compared(
        "all",
        sum(each.seconds for each in cameras),
        sum(each.scored for each in cameras),
        sum(each.skipped for each in cameras),
        reduce(add, (each.pairs for each in cameras), Pairs()),
        sum(each.canary_alarms for each in cameras),
        sum(each.both for each in cameras),
        tuple(sorted((a for each in cameras for a in each.only_live), key=lambda alarm: alarm.start)),
        tuple(sorted(a for each in cameras for a in each.only_canary)),
        sum(each.unknown for each in cameras),
        any(each.learning for each in cameras),
        next((each.fault for each in cameras if each.fault), ""),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
