"""Alarms or notices of one camera: takes scores, returns messages of events. Pure: time comes with the clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from stream.alarm.event import UNKNOWN, Event, EventMessage, FocusRegion, Label, ModelName, Moment, Severity
from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.alarm.snooze import Snooze
from stream.archive.explanation import Explanation
from stream.camera.messages import ClipReady
from stream.settings.settings import CameraConfig

UPDATE_EVERY: Final = 2.0
UPDATE_STEP: Final = 0.01


def begun_event(
    config: CameraConfig,
    rule: AlarmSettings,
    model: ModelName,
    start: float,
    wall: Callable[[float], float],
    label: Label = "anomaly",
    *,
    test: bool = False,
    focus: FocusRegion | None = None,
    severity: Severity = "alarm",
) -> Event:
    """A new event of this camera with the thresholds in force; those of the self-test are tests.

    `wall` converts the clips' time to wall-clock time.
    """
    thresholds = (rule.threshold_on, rule.threshold_off)
    test, zone = test or config.is_self_test, config.schedule.zone
    shift = wall(start) - start
    return Event.begun(
        config.name, start, thresholds, model, label, test=test, zone=zone, focus=focus, severity=severity,
        wall_shift=shift,
    )  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """The result of a clip's score: the message that it caused, if any, and the explanation of the alarm that it
    began.
    """

    event: EventMessage | None = None
    change: Change | None = None
    explanation: Explanation | None = None
    ended: EventMessage | None = None  # the end of a snoozed alarm that rings from now on, as the new event


@dataclass(frozen=True)
class NewestClip:
    """What a camera can say of its newest clip. Each is asked only when an event needs it.

    `explain` explains the score of the window that the clip completed, `resembles` (event id) names the event marked as
    false that the clip resembles, `kind` says what kind of incident it looks like.
    """

    ready: ClipReady
    score: float
    raw: float
    window: int
    explain: Callable[[], Explanation]
    resembles: Callable[[str], str | None]
    kind: Callable[[], str]


class CameraAlarm:
    """The alarms of one camera, or its notices (`severity`)."""

    def __init__(
        self,
        config: CameraConfig,
        model: Callable[[], ModelName],
        settings: AlarmSettings,
        wall: Callable[[float], float],
        snooze: Snooze,
        severity: Severity = "alarm",
    ) -> None:
        self._wall = wall
        self._snooze = snooze
        self.rule = AlarmRule(settings)
        self.event: Event | None = None
        self.last = Moment(0.0, 0.0, 0, 0.0)
        self.scheduled = True  # as of its last clip
        self._config = config
        self._model = model
        self._severity = severity
        self._kind = UNKNOWN
        self._last_end = 0.0
        self._said_score, self._said_at = 0.0, 0.0

    @property
    def active(self) -> bool:
        """Whether `anomaly` is ON because of it."""
        return self.event is not None and not self.event.suppressed

    @property
    def nearness(self) -> float:
        """How near the last score is to the threshold, 0 to 1."""
        return min(1.0, self.last.score / max(self.rule.settings.threshold_on, 1e-6))

    def health(self) -> Iterator[tuple[str, object]]:
        """What `/healthz` and `stats` say of it."""
        yield "score", round(self.last.score, 4)
        yield "threshold", self.rule.settings.threshold_on
        yield "alarm", self.active
        yield "scheduled", self.scheduled
        yield "snoozed_until", self._snooze.ends_at

    def configure(self, config: CameraConfig) -> None:
        self._config = config

    def advance(self, newest: NewestClip) -> Judged:
        """Take the next clip."""
        clip = newest.ready
        self.scheduled = self._config.schedule.covers(self._wall(clip.start))
        if not self.scheduled:
            ended = self.close("schedule")
            self.last, self._last_end = Moment(newest.score, 0.0, newest.window, clip.start, raw=newest.raw), clip.end
            return Judged(ended)
        change = self.rule.advance(ScoredClip(clip.start, clip.end, newest.score))
        began = change in (Change.STARTED, Change.CAPPED)
        if began or (change is Change.ROSE and self.event is not None):
            self._kind = newest.kind()
        self.last = Moment(
            newest.score, self.rule.top_score, newest.window, clip.start, raw=newest.raw, kind=self._kind
        )
        self._last_end = clip.end
        if began:
            return self._started(newest, change, clip.start if self.rule.start_time is None else self.rule.start_time)
        if self._rings_again(clip.start):
            ended = self._end(clip.start, "snooze")
            return replace(self._started(newest, change, clip.start), ended=ended)
        if change is Change.ENDED:
            return Judged(self._end(self.rule.end_time, "score"), change)
        if self.event is not None and self._worth_an_update(clip.end):
            self._said_score, self._said_at = self.rule.top_score, clip.end
            return Judged(self.event.update(self.last), change)
        return Judged(change=change)

    def _rings_again(self, at: float) -> bool:
        """Whether an alarm that the snooze silenced goes on after it, or turns out to be one that rings through."""
        silenced = self.event is not None and self.event.suppressed == "snooze" and self.rule.active
        return silenced and self._severity == "alarm" and not self._snooze.silences(at, self._kind)

    def _started(self, newest: NewestClip, change: Change | None, start: float) -> Judged:
        clip = newest.ready
        self.event = begun_event(
            self._config,
            self.rule.settings,
            self._model(),
            start,
            self._wall,
            focus=clip.focus,
            severity=self._severity,
        )
        if (resembled := newest.resembles(self.event.id)) is not None:
            self.event.suppress("lookalike", resembled)
            self.rule.discount()
        elif change is Change.CAPPED:
            self.event.suppress("hourly_cap")
        elif self._snooze.silences(clip.start, self._kind):
            self.event.suppress("snooze")
            self.rule.discount()  # the alarms after the snooze must not be capped because of those in it
        explanation = newest.explain()
        message = self.event.new(replace(self.last, top_clips=explanation.top_clips()))
        self._said_score, self._said_at = self.rule.top_score, clip.end
        return Judged(message, change, explanation)

    def _worth_an_update(self, at: float) -> bool:
        waited = abs(at - self._said_at)  # the clock may have been set back
        return self.rule.top_score >= self._said_score + UPDATE_STEP and waited >= UPDATE_EVERY

    def close(self, reason: str) -> EventMessage | None:
        """The camera is lost or disabled, or the service stops: the `end` of an open alarm, if there is one."""
        self.rule.end(self._last_end)
        return self._end(self.rule.end_time, reason)

    def _end(self, at: float, reason: str) -> EventMessage | None:
        event, self.event = self.event, None
        return None if event is None else event.end(self.last, at, reason)
