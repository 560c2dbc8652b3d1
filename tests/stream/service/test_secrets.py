"""A canary through the whole service: what was filled in for a placeholder leaves it nowhere."""

from __future__ import annotations

import base64
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.rtsp import moving_pictures
from tests.servers.settable_camera import SettableCamera, Track, encode_as
from tests.stream.cli.test_check import check, row
from tests.stream.service.test_service import running

pytestmark = pytest.mark.slow

CANARY = "Kanari7&ü"
LEAKS = (b"Kanari7", base64.b64encode(f"admin:{CANARY}".encode())[:12])
SECRETS = {"MGFN_CAM_PW": CANARY, "MGFN_MQTT_PW": CANARY}
PAGES = ("healthz", "readyz", "metrics", "api/state", "api/events", "")


def said_on(subscriber: Subscriber, topic: str, payload: str) -> bool:
    return subscriber.last(topic) == payload


def test_a_canary_is_in_no_log_page_metric_message_file_or_table(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    units, port = encode_as("h264", moving_pictures(100)), free_port()
    said: dict[str, bytes] = {}
    with (
        SettableCamera(Track(units)).running() as open_,
        SettableCamera(Track(units), login=("admin", CANARY)).running() as locked,
        SettableCamera(Track(units), login=("admin", "another")).running() as refusing,
        Mosquitto(tmp_path, password=CANARY).running() as broker,
    ):
        cameras = {
            "path": f"rtsp://{open_.host}/user=admin_password={{MGFN_CAM_PW}}_channel=1.sdp",
            "query": f"rtsp://{open_.host}/{{MGFN_CAM_PW}}/1?x={{MGFN_CAM_PW}}",
            "user": f"rtsp://admin:{{MGFN_CAM_PW}}@{locked.host}/cam",
            "refused": f"rtsp://admin:{{MGFN_CAM_PW}}@{refusing.host}/cam",
            "nobody": f"rtsp://127.0.0.1:{free_port()}/{{MGFN_CAM_PW}}",
        }
        arguments = [text for name, url in cameras.items() for text in ("--rtsp", f"{name}={url}")]
        arguments += ["--mqtt", f"mqtt://mgfn:{{MGFN_MQTT_PW}}@127.0.0.1:{broker.port}"]
        done = check(tmp_path / "check", tiny_bundle, *arguments)
        for name, state in {"path": "ok", "query": "ok", "user": "ok", "refused": "failed", "nobody": "failed"}.items():
            assert state in row(done.stdout, name)
        assert "came back" in row(done.stdout, "topics")
        said["check"] = (done.stdout + done.stderr).encode()
        subscriber = Subscriber(broker.port, "#", password=CANARY)
        arguments += ["--bundle", str(tiny_bundle), "--http", f"127.0.0.1:{port}", "--threshold", "0"]
        with running(tmp_path, *arguments) as service:
            until(lambda: service.said("broker connected"), what="the broker")
            service.process.send_signal(signal.SIGHUP)  # there is no site file to read again
            for name in ("path", "query", "user"):
                until(partial(said_on, subscriber, f"mgfn/{name}/anomaly", "ON"), what=f"the alarm of {name}")
            for name in ("refused", "nobody"):
                until(partial(said_on, subscriber, f"mgfn/{name}/status", "offline"), what=f"the loss of {name}")
            for page in PAGES:
                said[page] = httpx.get(f"http://127.0.0.1:{port}/{page}").content
            assert service.stop() == 0
        subscriber.close()
    said |= {"log": service.log.read_bytes(), "messages": repr(subscriber.messages).encode()}
    said |= {str(file): file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file()}
    assert b"wrong user or password" in said["log"]
    assert b'"camera": "path"' in said["log"]
    assert [where for where, content in said.items() for leak in LEAKS if leak in content] == []
