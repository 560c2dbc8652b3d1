"""20 canaries through the whole service: a secret leaves it nowhere, however it came in."""

from __future__ import annotations

import base64
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest

from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.rtsp import moving_pictures
from tests.servers.service import running
from tests.servers.settable_camera import SettableCamera, Track, encode_as
from tests.stream.cli.test_check import check, row

pytestmark = pytest.mark.slow

IN_PATHS = (1, 2, 11, 15)  # an @ there is refused
# each canary contains its number, so that a leak names what leaked
CANARY = {number: f"Kanari{number:02}7&\u00fc{'' if number in IN_PATHS else '@:%40x'}" for number in range(1, 21)}
LEAKS = [f"Kanari{number:02}7".encode() for number in CANARY]
PAGES = ("healthz", "readyz", "metrics", "api/state", "api/events", "")
FROM_ENVIRONMENT, FROM_FILES = (1, 2, 5, 6, 14, 15), (8, 11, 12)
SITE = """
mqtt: {{url: "mqtt://mgfn:{{MGFN_C12}}@127.0.0.1:{broker}"}}
http: {{address: "127.0.0.1:{http}", token_file: token}}
notify: {{targets: ["json://u:{{MGFN_C14}}@127.0.0.1:{nowhere}/{{MGFN_C15}}"]}}
frigate: {{url: "http://u:{c13}@127.0.0.1:{nowhere}", cameras: {{path: Front}}}}
defaults: {{alarm: {{threshold_on: 0, threshold_off: 0}}}}
cameras:
  path: {{url: "rtsp://{open}/user=admin_password={{MGFN_C01}}_channel=1.sdp?x={{MGFN_C02}}"}}
  query: {{url: "rtsp://{open}/1?token={c3}&password={c4}"}}
  user: {{url: "rtsp://{{MGFN_C05}}:{{MGFN_C06}}@{locked}/cam"}}
  refused: {{url: "rtsp://admin:{c7}@{refusing}/cam", sub_stream: "rtsp://admin:{{MGFN_C08}}@{refusing}/sub"}}
  nobody: {{url: "rtsp://{c9}:{c10}@127.0.0.1:{nowhere}/{{MGFN_C11}}"}}
"""


def said_on(subscriber: Subscriber, topic: str, payload: str) -> bool:
    return subscriber.last(topic) == payload


def command_lines(process: int) -> bytes:
    """Of the service and all of its descendants, with what they run."""
    said = b""
    with suppress(psutil.NoSuchProcess):
        for each in (service := psutil.Process(process), *service.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                said += repr((each.name(), each.cmdline())).encode()
    return said


def test_20_canaries_are_in_no_log_page_metric_message_file_command_line_or_table(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in FROM_ENVIRONMENT:
        monkeypatch.setenv(f"MGFN_C{number:02}", CANARY[number])
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "secrets"))
    (tmp_path / "secrets").mkdir()
    for number in FROM_FILES:
        (tmp_path / "secrets" / f"MGFN_C{number:02}").write_text(CANARY[number])
    (tmp_path / "token").write_text(CANARY[16] + "long enough")
    units, port, nowhere = encode_as("h264", moving_pictures(100)), free_port(), free_port()
    said: dict[str, bytes] = {}
    with (
        SettableCamera(Track(units)).running() as open_,
        SettableCamera(Track(units), login=(CANARY[5], CANARY[6])).running() as locked,
        SettableCamera(Track(units), login=("admin", "another")).running() as refusing,
        Mosquitto(tmp_path, password=CANARY[12]).running() as broker,
    ):
        typed = {f"c{number}": quote(CANARY[number], safe="") for number in (3, 4, 7, 9, 10, 13)}
        site = tmp_path / "site.yaml"
        site.write_text(
            SITE.format(
                broker=broker.port, http=port, nowhere=nowhere, open=open_.host, locked=locked.host,
                refusing=refusing.host, **typed,
            )
        )  # fmt: skip
        done = check(tmp_path / "check", tiny_bundle, "--config", site)
        assert done.stdout, done.stderr
        for name, state in {"path": "ok", "query": "ok", "user": "ok", "refused": "failed", "nobody": "failed"}.items():
            assert state in row(done.stdout, name)
        assert "came back" in row(done.stdout, "topics")
        said["check"] = (done.stdout + done.stderr).encode()
        subscriber = Subscriber(broker.port, "#", password=CANARY[12])
        with running(tmp_path, "--config", site, "--bundle", tiny_bundle, "--self-test", "off") as service:
            until(lambda: service.said("broker connected"), what="the broker")
            service.process.send_signal(signal.SIGHUP)
            for name in ("path", "query", "user"):
                until(partial(said_on, subscriber, f"mgfn/{name}/anomaly", "ON"), what=f"the alarm of {name}")
            for name in ("refused", "nobody"):
                until(partial(said_on, subscriber, f"mgfn/{name}/status", "offline"), what=f"the loss of {name}")
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                latin = {"Authorization": f"Bearer {CANARY[17]}", "Cookie": f"mgfn-x={CANARY[18]}"}
                raw = [(name.encode(), text.encode("latin-1")) for name, text in latin.items()]
                said["wrong header"] = client.get(f"/healthz?token={quote(CANARY[19])}", headers=raw).content
                said["wrong form"] = client.post("/login", data={"token": CANARY[20]}).content
                assert client.post("/login", data={"token": CANARY[16] + "long enough"}).status_code == 303
                for page in PAGES:
                    got = client.get(f"/{page}")
                    assert got.status_code == 200
                    said[f"page {page}"] = got.content
            said["command lines"] = command_lines(service.process.pid)
            assert said["command lines"].count(b"spawn_main") >= 5
            assert service.stop() == 0
        subscriber.close()
    said |= {"log": service.log.read_bytes(), "messages": repr(subscriber.messages).encode()}
    said |= {str(file): file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file()}
    assert b"wrong user or password" in said["log"]
    assert b'"camera": "path"' in said["log"]
    logins = [(CANARY[5], CANARY[6]), ("admin", CANARY[7]), (CANARY[9], CANARY[10]), ("u", CANARY[13])]
    leaks = [*LEAKS, *(base64.b64encode(":".join(login).encode())[:12] for login in logins)]
    assert [(where, leak) for where, content in said.items() for leak in leaks if leak in content] == []


def test_a_password_typed_on_the_command_line_is_warned_of(tmp_path: Path, tiny_bundle: Path) -> None:
    nowhere = free_port()
    arguments = ["--rtsp", f"front-door=rtsp://admin:hunter2@127.0.0.1:{nowhere}/1"]
    arguments += ["--rtsp", f"yard=rtsp://127.0.0.1:{nowhere}/1", "--mqtt", f"mqtt://u:hunter3@127.0.0.1:{nowhere}"]
    done = check(tmp_path, tiny_bundle, *arguments)
    warned = [line for line in done.stderr.splitlines() if "command line" in line]
    assert len(warned) == 2
    assert "--rtsp front-door" in warned[0]
    assert "{MGFN_FRONT_DOOR_PW}" in warned[0]
    assert "{MGFN_MQTT_PW}" in warned[1]
    assert not any(password in done.stdout + done.stderr for password in ("hunter2", "hunter3"))
