"""The life of an alarm as subscribers see it: `new`, `update`, `end` and `media`, with one id and a counting `seq`.

`EventMessage` is one such message. `as_json` is the only place that writes its JSON, and `from_stored` the only one
that reads it.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import tzinfo
from typing import Any, Final, Literal, Self

from stream.alarm.event_urls import clip_url, snapshot_url
from stream.alarm.wall import WallMark, local_time, zone_name, zone_of

SCHEMA: Final = 2
EVENT_ID: Final = re.compile(r"[0-9]{1,12}\.[0-9]{2}-[a-z0-9]{6}")
_ALPHABET: Final = string.ascii_lowercase + string.digits

MessageType = Literal["new", "update", "end", "media", "ack", "escalated"]
Label = Literal["anomaly", "camera_lost"]
Severity = Literal["alarm", "notice"]
Suppression = Literal["snooze", "lookalike", "hourly_cap"]
UNKNOWN: Final = "unknown"  # kind of an event
FocusRegion = tuple[float, float, float, float]


@dataclass(frozen=True)
class ModelName:
    """The bundle and backend that scored; `folder` is the location of the bundle, and not part of any message."""

    bundle: str
    sha256: str
    backend: str
    folder: str = field(default="", compare=False)


@dataclass(frozen=True)
class TopClip:
    """A clip that caused an alarm; times in seconds, `weight` is its share of what all clips added to the score."""

    start: float
    end: float
    weight: float


@dataclass(frozen=True)
class Acknowledgement:
    """Who has acknowledged the alarm, and when (epoch seconds)."""

    time: float
    by: str


@dataclass(frozen=True)
class Moment:
    """What is known when a message is created; `start` (seconds) is that of the clip that caused it.

    `top_clips` explain the alarm: given with `new`, they stay in every later message. `raw` is the head's own score.
    `kind` is that of the clip with the top score.
    """

    score: float
    top_score: float
    window: int
    start: float
    top_clips: tuple[TopClip, ...] = ()
    raw: float | None = None
    kind: str = UNKNOWN


@dataclass(frozen=True)
class EventMessage:
    """One message of an event (docs/mqtt.md).

    Times are epoch seconds: steady time within the scoring loop, wall-clock time from `by_the_wall` on, which records
    the state of the clock in `mark`. `latency_from` is the time from which `latency_ms` counts: the alarm's start in
    `new`, otherwise the start of the clip that caused the message. `zone` names the time zone of `local_time` (None:
    that of the machine). These three are stored, but not published. `focus_region` is x, y, width, height in 0..1.
    `resembles` is the event marked as false that a suppressed one looks like. `heat_map` is known with `media`.
    `fence`: see `stream.base.ownership`.
    """

    type: MessageType
    id: str
    seq: int
    camera: str
    label: Label
    test: bool
    start_time: float
    local_time: str
    threshold_on: float
    threshold_off: float
    model: ModelName
    latency_from: float
    end_time: float | None = None
    end_reason: str | None = None
    published_time: float | None = None
    delayed: bool = False
    window: int = 0
    score: float = 0.0
    top_score: float = 0.0
    top_clips: tuple[TopClip, ...] = ()
    snapshot: str | None = None
    clip: str | None = None
    kind: str = UNKNOWN
    focus_region: FocusRegion | None = None
    severity: Severity = "alarm"
    suppressed: Suppression | None = None
    acknowledged: Acknowledgement | None = None
    raw: float | None = None
    resembles: str | None = None
    heat_map: str | None = None
    fence: int | None = None
    zone: str | None = None
    mark: WallMark | None = None

    @property
    def steady_start(self) -> float:
        """When it began, in steady time."""
        return self.start_time - (0.0 if self.mark is None else self.mark.shift)

    def by_the_wall(self, mark: WallMark) -> Self:
        """A message with steady times, converted to wall-clock times."""
        return replace(self._later(mark.shift), mark=mark)

    def corrected(self, now: WallMark) -> Self:
        """The message with times of the clock as it is `now`, if it has been set since they were taken."""
        if self.mark is None or not (seconds := self.mark.correction(now, self.start_time)):
            return self
        return replace(self._later(seconds), mark=now)

    def _later(self, seconds: float) -> Self:
        if not seconds:
            return self
        start = round(self.start_time + seconds, 3)
        return replace(
            self,
            start_time=start,
            local_time=local_time(start, zone_of(self.zone)),
            end_time=None if self.end_time is None else round(self.end_time + seconds, 3),
            published_time=None if self.published_time is None else round(self.published_time + seconds, 3),
            latency_from=round(self.latency_from + seconds, 3),
            top_clips=tuple(TopClip(c.start + seconds, c.end + seconds, c.weight) for c in self.top_clips),
            acknowledged=None
            if self.acknowledged is None
            else replace(self.acknowledged, time=round(self.acknowledged.time + seconds, 3)),
        )

    @property
    def latency_ms(self) -> int | None:
        """Milliseconds from `latency_from` to publication; None for an unpublished message."""
        if self.published_time is None:
            return None
        return round(self.published_time * 1000) - round(self.latency_from * 1000)

    def as_json(self) -> dict[str, Any]:
        """The public form, as published and listed."""
        clips = [
            {"start": round(c.start, 3), "end": round(c.end, 3), "weight": round(c.weight, 4)} for c in self.top_clips
        ]
        return {
            "schema": SCHEMA,
            "type": self.type,
            "id": self.id,
            "seq": self.seq,
            "camera": self.camera,
            "label": self.label,
            "test": self.test,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "local_time": self.local_time,
            "published_time": self.published_time,
            "delayed": self.delayed,
            "end_reason": self.end_reason,
            "window": self.window,
            "score": self.score,
            "top_score": self.top_score,
            "threshold_on": self.threshold_on,
            "threshold_off": self.threshold_off,
            "top_clips": clips,
            "snapshot": self.snapshot,
            "clip": self.clip,
            "latency_ms": self.latency_ms,
            "model": {"bundle": self.model.bundle, "sha256": self.model.sha256, "backend": self.model.backend},
            "kind": self.kind,
            "focus_region": None if self.focus_region is None else list(self.focus_region),
            "severity": self.severity,
            "suppressed": self.suppressed,
            "acknowledged": None if self.acknowledged is None else asdict(self.acknowledged),
            "raw": self.raw,
            "resembles": self.resembles,
            "heat_map": self.heat_map,
        } | ({} if self.fence is None else {"fence": self.fence})

    def as_stored(self) -> dict[str, Any]:
        """The form in the database: the public form, and what later messages need."""
        mark = None if self.mark is None else asdict(self.mark)
        return self.as_json() | {"latency_from": self.latency_from, "zone": self.zone, "mark": mark}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `as_stored` wrote, or schema 1, whose stored `latency_ms` was `latency_from` in ms."""
        values = {key: value for key, value in stored.items() if key not in ("schema", "latency_ms")}
        if stored["schema"] == 1:
            values["latency_from"] = stored["latency_ms"] / 1000
        values["model"] = ModelName(**stored["model"])
        values["top_clips"] = tuple(TopClip(**clip) for clip in stored["top_clips"])
        if region := stored.get("focus_region"):
            values["focus_region"] = tuple(region)
        if acknowledged := stored.get("acknowledged"):
            values["acknowledged"] = Acknowledgement(**acknowledged)
        if mark := stored.get("mark"):
            values["mark"] = WallMark(**mark)
        return cls(**values)


class Event:
    """One alarm. Each verb returns the next message.

    `published_time` and `delayed` are filled in when a message is published.
    """

    def __init__(self, last: EventMessage) -> None:
        # it may have been read back after it was published
        self._last = replace(last, published_time=None, delayed=False)

    @classmethod
    def begun(
        cls,
        camera: str,
        start_time: float,
        thresholds: tuple[float, float],
        model: ModelName,
        label: Label = "anomaly",
        *,
        test: bool = False,
        zone: tzinfo | None = None,
        focus: FocusRegion | None = None,
        severity: Severity = "alarm",
        wall_shift: float = 0.0,
    ) -> Self:
        """An event without messages yet; `start_time` in seconds, `thresholds` on and off.

        `zone` is that of `local_time`; None: that of the machine. The wall clock is `wall_shift` ahead of `start_time`;
        the id is derived from it.
        """
        return cls(
            EventMessage(
                type="new",
                id=f"{max(0.0, start_time + wall_shift):.2f}-" + "".join(secrets.choice(_ALPHABET) for _ in range(6)),
                seq=-1,
                camera=camera,
                label=label,
                test=test,
                start_time=round(start_time, 3),
                local_time=local_time(start_time, zone),
                zone=zone_name(zone),
                threshold_on=thresholds[0],
                threshold_off=round(thresholds[1], 4),
                model=model,
                latency_from=round(start_time, 3),
                focus_region=None if focus is None else _rounded(focus),
                severity=severity,
            )
        )

    def suppress(self, why: Suppression, resembles: str | None = None) -> None:
        """Store and show the event, but do not publish it; `resembles` is the event whose verdict is the reason."""
        self._last = replace(self._last, suppressed=why, resembles=resembles)

    @property
    def suppressed(self) -> Suppression | None:
        return self._last.suppressed

    @property
    def id(self) -> str:
        return self._last.id

    @property
    def camera(self) -> str:
        return self._last.camera

    @property
    def start_time(self) -> float:
        return self._last.start_time

    @property
    def last_time(self) -> float:
        """Start (seconds) of the clip that caused the last message."""
        return self._last.latency_from

    def new(self, moment: Moment) -> EventMessage:
        """The alarm began."""
        return replace(self._next("new", moment), latency_from=self.start_time)

    def update(self, moment: Moment) -> EventMessage:
        """Its top score rose."""
        return self._next("update", moment)

    def end(self, moment: Moment | None, end_time: float, reason: str) -> EventMessage:
        """It is over; docs/mqtt.md lists the reasons."""
        return self._next("end", moment, end_time=round(end_time, 3), end_reason=reason)

    def acknowledge(self, time: float, by: str) -> EventMessage | None:
        """Somebody has answered it; None if somebody already had: the first answer stays."""
        if self._last.acknowledged is not None:
            return None
        answer = Acknowledgement(round(time, 3), by)
        return self._next("ack", None, acknowledged=answer, latency_from=answer.time)

    def escalate(self, time: float) -> EventMessage:
        """Nobody has answered it."""
        return self._next("escalated", None, latency_from=round(time, 3))

    def media(self, *, snapshot: bool, clip: bool) -> EventMessage:
        """Its files are closed; which of them exist."""
        return self._next(
            "media",
            None,
            snapshot=snapshot_url(self.id) if snapshot else None,
            clip=clip_url(self.id) if clip else None,
        )

    def _next(self, kind: MessageType, moment: Moment | None, **changes: Any) -> EventMessage:
        if moment is not None:
            changes |= {
                "window": moment.window,
                "score": round(moment.score, 4),
                "top_score": round(moment.top_score, 4),
                "latency_from": round(moment.start, 3),
                "raw": None if moment.raw is None else round(moment.raw, 4),
                "kind": moment.kind,
                "top_clips": moment.top_clips or self._last.top_clips,
            }
        self._last = replace(self._last, type=kind, seq=self._last.seq + 1, **changes)
        return self._last


def _rounded(region: FocusRegion) -> FocusRegion:
    x, y, width, height = (round(value, 4) for value in region)
    return x, y, width, height
