"""The whole service with Frigate (a stand-in) and a target of Apprise's beside MQTT."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from engine.engine import Engine
from stream.check import check_all
from stream.settings import FrigateSettings, NotifySettings, ServiceSettings
from stream.sinks.client import TlsFiles
from tests.servers.http import FrigateServer, HttpServer
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import ended, until
from tests.servers.rtsp import TestCamera, encode, moving_pictures

pytestmark = pytest.mark.slow

# The service as the site file sets it up: rtsp url, broker, bundle, data folder, Frigate, target.
SERVICE = """
import sys
from pathlib import Path
from engine.engine import Engine
from stream.alarms import AlarmSettings
from stream.log import configure
from stream.service import Service
from stream.settings import CameraConfig, FrigateSettings, NotifySettings, ServiceSettings
from stream.sinks.client import TlsFiles
from stream.store import Store
from stream.urls import parse_broker, parse_sources

if __name__ == "__main__":
    camera, broker, bundle, data, frigate, target = sys.argv[1:]
    configure()
    cameras = tuple(CameraConfig(source, AlarmSettings(0.0, 0.0)) for source in parse_sources([camera]))
    settings = ServiceSettings(
        cameras, parse_broker(broker), TlsFiles(), "mgfn", "test", replay=False, scores=None, data=Path(data),
        frigate=FrigateSettings(frigate), notify=NotifySettings((target,)),
    )
    with Store.open(Path(data)) as store, Engine.open(Path(bundle)) as engine:
        service = Service(settings, engine, store, None)
        service.obey_signals()
        service.run()
    service.leave()
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
    assert "no answer (ConnectError)" in said
    assert "hunter" not in said


def test_frigate_and_a_phone_hear_of_an_alarm_and_hold_nothing_up(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    subscriber = Subscriber(mosquitto.port)
    camera = TestCamera(tmp_path, encode(moving_pictures(60 * 25)))
    frigate, phone = FrigateServer({"door"}), HttpServer(lambda _asked: (200, {}, {}))
    script, log = tmp_path / "service.py", tmp_path / "service.log"
    script.write_text(SERVICE)
    command = [sys.executable, str(script), f"door={camera.url}", mosquitto.url, str(tiny_bundle), str(tmp_path / "d")]
    command += [f"http://me:hunter2@127.0.0.1:{frigate.http.port}", f"json://me:hunter3@127.0.0.1:{phone.port}"]
    with camera.running(), frigate.http.running(), phone.running(), log.open("w") as written:
        frigate.answering.clear()  # it takes connections and says nothing
        with ended(subprocess.Popen(command, stderr=written, text=True, cwd=Path.cwd())) as first:
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
            frigate.answering.set()
            until(lambda: len(frigate.open()) == 1, 60, "the event in Frigate")
            first.kill()  # with it open
            first.wait(10)
        with ended(subprocess.Popen(command, stderr=written, text=True, cwd=Path.cwd())) as second:
            until(lambda: len(frigate.events) == 2, 60, "the next alarm's event")
            assert len(frigate.open()) == 1  # the restart ended the first
            second.terminate()
            assert second.wait(5) == 0
            assert frigate.open() == []
    subscriber.close()
    assert [asked.path for asked in frigate.http.asked if asked.method == "POST"] == [
        "/api/events/door/anomaly/create"
    ] * 2
    assert len(phone.asked) == 2
    said = log.read_text()
    assert "not delivered" in said
    assert "hunter" not in said
