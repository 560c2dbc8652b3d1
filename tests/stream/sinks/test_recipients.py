"""The whole service with Frigate (a stand-in) and a target of Apprise's beside MQTT."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from engine.engine import Engine
from stream.cli.check import check_all
from stream.settings.settings import ServiceSettings
from stream.sinks.frigate import FrigateSettings
from stream.sinks.mqtt_client import TlsFiles
from stream.sinks.notifications import NotifySettings
from tests.built_once import recording
from tests.servers.http import FrigateServer, HttpServer
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, until
from tests.servers.rtsp import TestCamera

pytestmark = pytest.mark.slow

SITE = """
mqtt: {{url: {mqtt}}}
http: {{address: off}}
bundle: {bundle}
data: d
notify: {{targets: ["{{MGFN_PHONE}}"]}}
frigate: {{url: "{frigate}"}}
cameras:
  door: {{url: {camera}, alarm: {{threshold_on: 0}}}}
"""


def test_check_tries_frigate_and_understands_targets(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frigate = FrigateServer(set())
    settings = ServiceSettings(
        (), None, TlsFiles(), "mgfn", "test", replay=False, scores=None, data=tmp_path,
        frigate=FrigateSettings(f"http://me:hunter2@127.0.0.1:{frigate.http.port}"),
        notify=NotifySettings(("json://me:hunter3@localhost",)),
    )  # fmt: skip
    with Engine.open(tiny_bundle) as engine:
        with frigate.http.running():
            assert check_all(settings, engine, tmp_path)
        said = capsys.readouterr().out
        assert "0.17.0-stand-in" in said
        assert "targets understood: 1" in said
        assert not check_all(settings, engine, tmp_path)
    said += capsys.readouterr().out
    assert "no response (ConnectError)" in said
    assert "hunter" not in said


def test_frigate_and_a_phone_hear_of_an_alarm_and_hold_nothing_up(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, recording(60))
    frigate, phone = FrigateServer({"door"}), HttpServer(lambda _asked: (200, {}, {}))
    site, log = tmp_path / "site.yaml", tmp_path / "service.log"
    address = f"http://me:hunter2@127.0.0.1:{frigate.http.port}"
    site.write_text(SITE.format(mqtt=mosquitto.url, bundle=tiny_bundle, frigate=address, camera=camera.url))
    monkeypatch.setenv("MGFN_PHONE", f"json://me:hunter3@127.0.0.1:{phone.port}")
    command = [sys.executable, "-m", "stream.cli", "--config", str(site)]
    with camera.running(), frigate.http.running(), phone.running(), log.open("w") as written:
        frigate.answering.clear()  # it takes connections and says nothing
        with ended(subprocess.Popen(command, stderr=written, text=True)) as first:
            until(lambda: [e["type"] for e in subscriber.events()][:1] == ["new"], 60, "the alarm over MQTT")
            assert not frigate.events
            scores = sum(topic.endswith("/score") for topic, _, _ in subscriber.messages)
            until(lambda: sum(t.endswith("/score") for t, _, _ in subscriber.messages) > scores + 3, what="scores")
            until(lambda: phone.asked, 60, "the notification, though Frigate does not answer")
            body = phone.asked[0].body
            assert body["title"].startswith("door: anomaly, score 0.")
            new = subscriber.events()[0]
            assert bool(body["attachments"]) == (new["snapshot"] is not None)
            for picture in body["attachments"]:
                assert base64.b64decode(picture["base64"]).startswith(b"\xff\xd8\xff")
            until(lambda: "delivery failed" in log.read_text(), 60, "Frigate's time-out")
            frigate.answering.set()
            until(lambda: len(frigate.open()) == 1, 60, "the event in Frigate")
            first.kill()  # with it open
            first.wait(10)
        with ended(subprocess.Popen(command, stderr=written, text=True)) as second:
            until(lambda: len(frigate.events) == 2, 60, "the next alarm's event")
            assert len(frigate.open()) == 1  # the restart ended the first
            until(lambda: len(phone.asked) == 2, 60, "the second notification")
            second.terminate()
            assert second.wait(30) == 0
            assert frigate.open() == []
    subscriber.close()
    assert [asked.path for asked in frigate.http.asked if asked.method == "POST"] == [
        "/api/events/door/anomaly/create"
    ] * 2
    assert len(phone.asked) == 2
    said = log.read_text()
    assert "hunter" not in said
