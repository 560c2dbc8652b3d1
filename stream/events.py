"""The life of an alarm as its subscribers see it: `new`, `update`, `end` with one id and a counting `seq`."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

SCHEMA: Final = 1
DELAYED_AFTER: Final = 10.0
_ALPHABET: Final = string.ascii_lowercase + string.digits

Payload = dict[str, Any]


@dataclass(frozen=True)
class ModelName:
    """Which bundle on which backend scored."""

    bundle: str
    sha256: str
    backend: str


@dataclass(frozen=True)
class Moment:
    """What is known when a message of an event is made; `start` (seconds) is that of the clip that brought it about."""

    score: float
    top_score: float
    window: int
    start: float


class Event:
    """One alarm. Each verb gives the payload of the next message, as in the contract, section 4."""

    def __init__(
        self, camera: str, start_time: float, threshold_on: float, threshold_off: float, model: ModelName
    ) -> None:
        self.camera = camera
        self.start_time = start_time
        self.id = f"{start_time:.2f}-" + "".join(secrets.choice(_ALPHABET) for _ in range(6))
        self._thresholds = (threshold_on, threshold_off)
        self._model = model
        self._seq = 0

    def new(self, moment: Moment) -> Payload:
        """The alarm began."""
        return self._payload("new", replace(moment, start=self.start_time), None, None)

    def update(self, moment: Moment) -> Payload:
        """Its top score rose."""
        return self._payload("update", moment, None, None)

    def end(self, moment: Moment, end_time: float, reason: str) -> Payload:
        """It is over: `reason` is "score", "camera_lost" or "stopped"."""
        return self._payload("end", moment, end_time, reason)

    def _payload(self, kind: str, moment: Moment, end_time: float | None, reason: str | None) -> Payload:
        seq, self._seq = self._seq, self._seq + 1
        return {
            "schema": SCHEMA,
            "type": kind,
            "id": self.id,
            "seq": seq,
            "camera": self.camera,
            "label": "anomaly",
            "test": False,
            "start_time": round(self.start_time, 3),
            "end_time": None if end_time is None else round(end_time, 3),
            "local_time": datetime.fromtimestamp(self.start_time).astimezone().isoformat(timespec="milliseconds"),
            "published_time": None,
            "delayed": False,
            "end_reason": reason,
            "window": moment.window,
            "score": round(moment.score, 4),
            "top_score": round(moment.top_score, 4),
            "threshold_on": self._thresholds[0],
            "threshold_off": self._thresholds[1],
            "top_clips": [],
            "snapshot": None,
            "clip": None,
            "latency_ms": round(moment.start * 1000),
            "model": {
                "bundle": self._model.bundle,
                "sha256": self._model.sha256,
                "backend": self._model.backend,
            },
        }


def stamped(payload: Payload, made: float, now: float) -> Payload:
    """The payload as it leaves at epoch time `now`; it was `made` earlier if the broker was away.

    `latency_ms` counts from the alarm's start in `new`, else from the start of the clip that brought the message about.
    """
    return payload | {
        "published_time": round(now, 3),
        "delayed": now - made > DELAYED_AFTER,
        "latency_ms": round(now * 1000) - payload["latency_ms"],
    }
