"""The life of an alarm as its subscribers see it: `new`, `update`, `end`, `media` with one id and a counting `seq`."""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, Literal, Self

SCHEMA: Final = 1
DELAYED_AFTER: Final = 10.0
EVENT_ID: Final = re.compile(r"[0-9]{1,12}\.[0-9]{2}-[a-z0-9]{6}")
_ALPHABET: Final = string.ascii_lowercase + string.digits

Payload = dict[str, Any]
Label = Literal["anomaly", "camera_lost"]


@dataclass(frozen=True)
class ModelName:
    """Which bundle on which backend scored; `folder` is where the bundle lies."""

    bundle: str
    sha256: str
    backend: str
    folder: str = ""


@dataclass(frozen=True)
class TopClip:
    """A clip that drove an alarm; times in seconds, `weight` its share of what all clips added to the score."""

    start: float
    end: float
    weight: float


@dataclass(frozen=True)
class Moment:
    """What is known when a message of an event is made; `start` (seconds) is that of the clip that brought it about.

    `top_clips` explain the alarm: given with `new`, they stand in all that follows.
    """

    score: float
    top_score: float
    window: int
    start: float
    top_clips: tuple[TopClip, ...] = ()


def snapshot_url(event_id: str) -> str:
    return f"/api/events/{event_id}/snapshot.jpg"


def clip_url(event_id: str) -> str:
    return f"/api/events/{event_id}/clip.mp4"


class Event:
    """One alarm. Each verb gives the payload of the next message, as in the contract, section 4.

    `published_time`, `delayed` and `latency_ms` are filled in by `stamped` when a message leaves.
    """

    def __init__(self, last: Payload) -> None:
        self._last = last | {"published_time": None, "delayed": False}  # of a message that has left already

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
    ) -> Self:
        """An event that nobody has heard of; `start_time` in seconds, `thresholds` on and off.

        `zone` is that of `local_time`; None: the machine's.
        """
        return cls(
            {
                "schema": SCHEMA,
                "type": "new",
                "id": f"{start_time:.2f}-" + "".join(secrets.choice(_ALPHABET) for _ in range(6)),
                "seq": -1,
                "camera": camera,
                "label": label,
                "test": test,
                "start_time": round(start_time, 3),
                "end_time": None,
                "local_time": datetime.fromtimestamp(start_time).astimezone(zone).isoformat(timespec="milliseconds"),
                "published_time": None,
                "delayed": False,
                "end_reason": None,
                "window": 0,
                "score": 0.0,
                "top_score": 0.0,
                "threshold_on": thresholds[0],
                "threshold_off": round(thresholds[1], 4),
                "top_clips": [],
                "snapshot": None,
                "clip": None,
                "latency_ms": round(start_time * 1000),
                "model": {"bundle": model.bundle, "sha256": model.sha256, "backend": model.backend},
            }
        )

    @property
    def id(self) -> str:
        return str(self._last["id"])

    @property
    def camera(self) -> str:
        return str(self._last["camera"])

    @property
    def start_time(self) -> float:
        return float(self._last["start_time"])

    @property
    def last_time(self) -> float:
        """Start (seconds) of the clip that brought the last message about."""
        return float(self._last["latency_ms"]) / 1000

    def new(self, moment: Moment) -> Payload:
        """The alarm began."""
        return self._next("new", moment) | {"latency_ms": round(self.start_time * 1000)}

    def update(self, moment: Moment) -> Payload:
        """Its top score rose."""
        return self._next("update", moment)

    def end(self, moment: Moment | None, end_time: float, reason: str) -> Payload:
        """It is over.

        `reason`: "score", "camera_lost", "disabled", "schedule", "reconfigured", "removed", "returned", "test",
        "stopped" or "restart".
        """
        return self._next("end", moment, end_time=round(end_time, 3), end_reason=reason)

    def media(self, *, snapshot: bool, clip: bool) -> Payload:
        """Its files are closed; which of them are there."""
        return self._next(
            "media",
            None,
            snapshot=snapshot_url(self.id) if snapshot else None,
            clip=clip_url(self.id) if clip else None,
        )

    def _next(self, kind: str, moment: Moment | None, **changes: object) -> Payload:
        known: Payload = {}
        if moment is not None:
            known = {
                "window": moment.window,
                "score": round(moment.score, 4),
                "top_score": round(moment.top_score, 4),
                "latency_ms": round(moment.start * 1000),
            }
            if moment.top_clips:
                known["top_clips"] = [
                    {"start": round(c.start, 3), "end": round(c.end, 3), "weight": round(c.weight, 4)}
                    for c in moment.top_clips
                ]
        self._last = self._last | known | changes | {"type": kind, "seq": self._last["seq"] + 1}
        return self._last


def as_left(kept: Payload) -> Payload:
    """A message as it is kept, with the `latency_ms` that it left with; None: it has not left."""
    left = kept["published_time"]
    return kept | {"latency_ms": None if left is None else round(left * 1000) - kept["latency_ms"]}


def stamped(payload: Payload, made: float, now: float) -> Payload:
    """The payload as it leaves at epoch time `now`; it was `made` earlier if the broker was away.

    `latency_ms` counts from the alarm's start in `new`, else from the start of the clip that brought the message about.
    """
    return payload | {
        "published_time": round(now, 3),
        "delayed": now - made > DELAYED_AFTER,
        "latency_ms": round(now * 1000) - payload["latency_ms"],
    }
