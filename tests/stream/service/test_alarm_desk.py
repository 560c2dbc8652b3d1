"""What people do with alarms, on the whole service with a real camera and a real Mosquitto."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera, encode, moving_pictures
from tests.stream.service.test_service import lines, running

pytestmark = pytest.mark.slow


def test_an_alarm_is_acknowledged_and_a_camera_snoozed(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, encode(moving_pictures(120 * 25)))
    stored = tmp_path / "events.jsonl"
    arguments = ["--rtsp", f"door={camera.url}", "--mqtt", mosquitto.url, "--bundle", tiny_bundle, "--http", "off"]
    arguments += ["--threshold", "0", "--events", stored]

    def events(**wanted: Any) -> list[dict[str, Any]]:
        return [event for event in subscriber.events() if all(event[key] == value for key, value in wanted.items())]

    with camera.running():
        with running(tmp_path, *arguments) as service:
            until(lambda: events(type="new"), what="the alarm")
            subscriber.publish("mgfn/door/ack/set", json.dumps({"id": "latest", "by": "anna"}))
            until(lambda: events(type="ack"), what="the acknowledgement")
            (ack,) = events(type="ack")
            assert (ack["acknowledged"]["by"], ack["id"]) == ("anna", events(type="new")[0]["id"])
            assert ack["acknowledged"]["time"] == pytest.approx(time.time(), abs=60)
            assert subscriber.last("mgfn/door/snooze/state") == "off"

            subscriber.publish("mgfn/door/snooze/set", "5256000")
            until(lambda: service.said("must be minutes from 0"), what="ten years being refused")
            subscriber.publish("mgfn/door/snooze/set", "60")
            until(lambda: subscriber.last("mgfn/door/snooze/state") != "off", what="the snooze")
            subscriber.publish("mgfn/door/enabled/set", "OFF")
            until(lambda: events(type="end"), what="the end of the alarm")
            assert events(type="end")[0]["acknowledged"]["by"] == "anna"
            subscriber.publish("mgfn/door/enabled/set", "ON")
            assert service.stop() == 0
        with running(tmp_path, *arguments) as service:
            until(lambda: service.said("still snoozed"), what="the snooze of the last run")
            until(lambda: [e for e in lines(stored) if e["suppressed"] == "snooze"], what="the silent alarm")
            ends = subscriber.last("mgfn/door/snooze/state")
            assert datetime.fromisoformat(str(ends)).timestamp() == pytest.approx(time.time() + 3_600, abs=120)
            subscriber.publish("mgfn/door/snooze/set", "0")
            until(lambda: len(events(type="new")) == 2, what="the alarm that goes on")
            assert subscriber.last("mgfn/door/snooze/state") == "off"
            silent = next(e for e in lines(stored) if e["suppressed"] == "snooze")
            assert silent["id"] not in {event["id"] for event in subscriber.events()}
            assert service.stop() == 0
    subscriber.close()
