"""Event messages for tests."""

from __future__ import annotations

from typing import Any

from stream.alarm.event import EventMessage, ModelName

MODEL = ModelName("b", "0" * 64, "openvino")


def event_message(**changes: Any) -> EventMessage:
    """A `new` of front_door with a score of 0.914, with `changes`."""
    values: dict[str, Any] = {
        "type": "new",
        "id": "1000.00-aaaaaa",
        "seq": 0,
        "camera": "front_door",
        "label": "anomaly",
        "test": False,
        "start_time": 1000.0,
        "local_time": "2026-11-23T20:33:20.120+00:00",
        "threshold_on": 0.8,
        "threshold_off": 0.6,
        "model": MODEL,
        "latency_from": 1000.0,
        "score": 0.914,
    }
    return EventMessage(**(values | changes))
