"""What people do with alarms, on the whole service with a real camera and a real Mosquitto."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stream.archive.store import Store
from stream.sinks.webhook import signature
from tests.built_once import recording
from tests.servers.http import HttpServer
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.rtsp import TestCamera
from tests.servers.service import lines, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def test_an_alarm_is_acknowledged_and_a_camera_snoozed(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, recording())
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


MODES = """
mqtt: {{url: {mqtt}}}
http: {{address: 127.0.0.1:{port}}}
bundle: {bundle}
data: data
modes:
  home: {{cameras: {{door: {{threshold_on: 1}}}}}}
  away: {{}}
  off: {{every: {{enabled: false}}}}
cameras:
  door: {{url: {camera}, alarm: {{threshold_on: 0}}}}
"""


def test_modes_are_chosen_over_mqtt_and_on_the_page_and_survive_a_restart(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, browser: Browser
) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera, port = TestCamera(tmp_path, recording()), free_port()
    site = tmp_path / "site.yaml"
    site.write_text(MODES.format(mqtt=mosquitto.url, port=port, bundle=tiny_bundle, camera=camera.url))

    def state() -> tuple[str | None, ...]:
        topics = ("mode/state", "door/threshold/state", "door/enabled/state")
        return tuple(subscriber.last(f"mgfn/{topic}") for topic in topics)

    with camera.running():
        with running(tmp_path, "--config", site) as service:
            until(lambda: state() == ("home", "1", "ON"), 60, "the first mode")
            assert not subscriber.events()
            until(lambda: subscriber.last("mgfn/node"), what="the node")
            told = json.loads(str(subscriber.last("mgfn/node")))
            assert (told["cameras"], told["page"]) == (["door"], None)  # only this machine reaches the page
            subscriber.publish("mgfn/mode/set", "garden")
            until(lambda: service.said("no such mode: 'garden'; must be home, away, off, auto"), what="the refusal")
            subscriber.publish("mgfn/mode/set", "away")
            until(lambda: state() == ("away", "0", "ON"), what="away")
            until(lambda: [e["type"] for e in subscriber.events()][:1] == ["new"], what="the alarm")
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            choice = page.get_by_label("Mode")
            until(lambda: choice.input_value() == "away", what="the mode on the page")
            choice.select_option("off")
            until(lambda: state() == ("off", "0", "OFF"), what="off")
            until(lambda: "end" in [e["type"] for e in subscriber.events()], what="the end of the alarm")
            subscriber.publish("mgfn/door/enabled/set", "ON")  # what is set for a camera takes precedence
            until(lambda: state() == ("off", "0", "ON"), what="the camera on")
            subscriber.publish("mgfn/door/enabled/set", "reset")
            until(lambda: state() == ("off", "0", "OFF"), what="the mode again")
            page.close()
            assert service.stop() == 0
        subscriber.publish("mgfn/mode/state", "", retain=True)
        with running(tmp_path, "--config", site) as service:
            until(lambda: state() == ("off", "0", "OFF"), 60, "the mode of the last run")
            subscriber.publish("mgfn/mode/set", "auto")
            until(lambda: state() == ("home", "1", "ON"), what="the schedules")
            site.write_text(
                site.read_text().replace("  away: {}\n", "").replace("threshold_on: 1", "threshold_on: 0.9")
            )
            until(lambda: state() == ("home", "0.9", "ON"), what="the changed modes, without a restart")
            subscriber.publish("mgfn/mode/set", "away")
            until(lambda: service.said("no such mode: 'away'; must be home, off, auto"), what="the mode that is gone")
            asked = httpx.get(f"http://127.0.0.1:{port}/api/state").json()
            assert asked["mode"]["changes"]["mode"]["value"] == "auto"
            assert asked["cameras"]["door"]["changes"]["enabled"]["value"] == "reset"  # that of the last run
            assert service.stop() == 0
    with Store.read_only(tmp_path / "data") as store:
        changes = [(c.who, c.via, c.camera, c.what, c.value) for c in store.audit.latest(10)[::-1]]
    assert changes == [
        ("", "MQTT", "", "mode", "away"), ("page", "page", "", "mode", "off"), ("", "MQTT", "door", "enabled", "on"),
        ("", "MQTT", "door", "enabled", "reset"), ("", "MQTT", "", "mode", "auto"),
    ]  # fmt: skip
    subscriber.close()


ESCALATING = """
mqtt: {{url: {mqtt}}}
http: {{address: off}}
bundle: {bundle}
data: data
notify:
  escalate: {{after: 3s, to: ["json://127.0.0.1:{phone}/"]}}
  webhooks: [{{url: "http://127.0.0.1:{hook}/", secret: "{secret}"}}]
cameras:
  door: {{url: {camera}, alarm: {{threshold_on: 0}}}}
"""


def test_an_unanswered_alarm_is_escalated_until_somebody_answers(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    subscriber = Subscriber(mosquitto.port)
    phone, hook = (HttpServer(lambda _asked: (200, {}, {})) for _ in range(2))
    camera, site, secret = TestCamera(tmp_path, recording()), tmp_path / "site.yaml", "k" * 16

    def said(kind: str) -> list[dict[str, Any]]:
        return [event for event in subscriber.events() if event["type"] == kind]

    with phone.running(), hook.running(), camera.running():
        site.write_text(
            ESCALATING.format(
                mqtt=mosquitto.url, bundle=tiny_bundle, phone=phone.port, hook=hook.port, secret=secret,
                camera=camera.url,
            )
        )  # fmt: skip
        with running(tmp_path, "--config", site) as service:
            until(lambda: len(said("escalated")) == 2, 60, "the second escalation")
            until(lambda: len(phone.asked) >= 2, what="the phone")
            assert "NOT ANSWERED: door" in phone.asked[0].body["title"]
            subscriber.publish("mgfn/door/ack/set", json.dumps({"id": said("new")[0]["id"], "by": "anna"}))
            until(lambda: said("ack"), what="the answer")
            answered = len(said("escalated"))
            until(lambda: said("ack")[0]["acknowledged"]["time"] + 7 < time.time(), what="twice the time to escalate")
            assert len(said("escalated")) == answered
            assert service.stop() == 0
        assert secret not in service.log.read_text()
    posted = {asked.body["type"] for asked in hook.asked}
    assert {"new", "escalated", "ack", "end"} <= posted
    body = json.dumps(hook.asked[0].body).encode()
    assert hook.asked[0].headers["x-mgfn-signature"] == signature(secret, body)
    subscriber.close()
