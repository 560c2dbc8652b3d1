"""What happened at each camera in a period: alarms, answers, times without images, and whether the budget was kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stream.archive.event_store import ListedEvent
from stream.archive.store import Store
from stream.lookback import history
from stream.lookback.budget import scored_days


@dataclass(frozen=True)
class Digest:
    """One camera. Alarms are those that were published, without tests.

    unanswered: neither acknowledged nor judged. lost_seconds: how long it delivered no images. not_true: alarms that
    nobody marked as true. budget: false alarms that were allowed in `days` of scored time; None with a fixed threshold.
    """

    camera: str
    alarms: int
    true: int
    false_alarms: int
    unanswered: int
    notices: int
    suppressed: int
    lost: int
    lost_seconds: float
    days: float
    budget: float | None

    @property
    def not_true(self) -> int:
        return self.alarms - self.true

    @property
    def kept(self) -> bool | None:
        """Whether the budget was kept, rounded up to whole alarms; None: there is none, or nothing was scored."""
        return None if self.budget is None or not self.days else self.not_true <= math.ceil(self.budget)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"not_true": self.not_true, "budget_kept": self.kept}


def digests(store: Store, since: float, until: float) -> list[Digest]:
    """One for each camera with events or scores in this period (epoch seconds), by name."""
    events = [event for event in store.events.since(since) if not event.message.test]
    names = {event.message.camera for event in events} | set(history.cameras(store, None))
    return [
        _digest(store, name, [event for event in events if event.message.camera == name], since, until)
        for name in sorted(names)
    ]


def _digest(store: Store, camera: str, events: Sequence[ListedEvent], since: float, until: float) -> Digest:
    scored = [event for event in events if event.message.label == "anomaly"]
    published = [event for event in scored if event.message.suppressed is None]
    alarms = [event for event in published if event.message.severity == "alarm"]
    lost = [event.message for event in events if event.message.label == "camera_lost"]
    days = scored_days(store.scores.columns(camera, since, until))
    rule = history.rule_of(store, camera)
    return Digest(
        camera,
        len(alarms),
        sum(event.verdict == "true" for event in alarms),
        sum(event.verdict == "false_alarm" for event in alarms),
        sum(event.verdict is None and event.message.acknowledged is None for event in alarms),
        len(published) - len(alarms),
        len(scored) - len(published),
        len(lost),
        round(sum((until if e.end_time is None else e.end_time) - e.start_time for e in lost), 1),
        round(days, 3),
        round(rule.false_alarms_per_day * days, 2) if rule.learnt else None,
    )
