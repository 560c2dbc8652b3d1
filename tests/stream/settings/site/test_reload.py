"""A site file that changes while the service runs: real cameras, a real Mosquitto, a tiny bundle on a real backend."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stream.archive.store import Store
from tests.built_once import recording
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera, moving_pictures, write_video
from tests.servers.service import lines, running

pytestmark = pytest.mark.slow

PATIENCE = 60.0
WATCHED = ("warming", "degraded", "online")


@pytest.fixture(scope="module")
def units() -> list[bytes]:
    return recording(90)


class SiteFile:
    """The file of a running service; `write` replaces it as an editor does."""

    def __init__(self, path: Path, broker: str, bundle: Path) -> None:
        self.path = path
        self._top = f"mqtt: {{url: {broker}}}\nbundle: {bundle}\nhttp: {{address: off}}\nnode: nvr\nscores: s.jsonl\n"

    def write(self, cameras: str, top: str = "") -> None:
        draft = self.path.with_name("draft.yaml")
        draft.write_text(self._top + top + "cameras:\n" + cameras)
        draft.rename(self.path)


def test_off_schedule_a_camera_is_scored_and_recorded_without_alarms(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    subscriber = Subscriber(mosquitto.port, "#")
    site = SiteFile(tmp_path / "site.yaml", mosquitto.url, tiny_bundle)
    write_video(tmp_path / "door.mp4", moving_pictures(60 * 25))
    now = datetime.now(UTC)
    another_day, today = ((now + timedelta(days=d)).strftime("%a").lower() for d in (3, 0))
    tomorrow = (now + timedelta(days=1)).strftime("%a").lower()
    camera = "{{url: door.mp4, alarm: {{threshold_on: 0}}, schedule: [{{days: [{}], from: '00:00', to: '24:00'}}]}}"
    on, off = camera.format(f"{today}, {tomorrow}"), camera.format(another_day)

    def scores_of(name: str) -> list[dict[str, Any]]:
        return [line for line in lines(tmp_path / "s.jsonl") if line["camera"] == name]

    def alarms(kind: str) -> list[tuple[str, str | None]]:
        return [(e["camera"], e["end_reason"]) for e in subscriber.events() if e["type"] == kind]

    site.write(f"  on: {on}\n  off: {off}\n", top="time_zone: UTC\n")
    with running(tmp_path, "--config", site.path) as service:
        until(lambda: alarms("new"), PATIENCE, "the alarm of the camera that is on")
        until(lambda: len(scores_of("off")) > 8, PATIENCE, "scores of the camera that is off")
        assert subscriber.last("mgfn/off/status") in ("warming", "degraded")
        assert subscriber.last("mgfn/off/anomaly") == "OFF"
        count = len(scores_of("on"))
        # the other way round: an alarm that is open ends, the other camera's begins; nobody connects anew
        site.write(f"  on: {off}\n  off: {on}\n", top="time_zone: UTC\n")
        until(lambda: ("on", "schedule") in alarms("end"), PATIENCE, "the end of the open alarm")
        until(lambda: ("off", None) in alarms("new"), PATIENCE, "the other camera's alarm")
        until(lambda: len(scores_of("on")) > count + 2, PATIENCE, "scores all the same")
        assert service.stop() == 0
    assert alarms("new") == [("on", None), ("off", None)]
    windows = [line["window"] for line in scores_of("on")]
    assert windows == [min(32, n + 1) for n in range(len(windows))]  # one connection
    with Store.read_only(tmp_path / "data") as store:
        for name in ("on", "off"):
            assert len(store.scores.columns(name, 0.0, 1e12)) == len(scores_of(name))
    subscriber.close()


def test_the_sub_stream_is_watched_and_the_main_one_stands_in_for_it(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, units: list[bytes]
) -> None:
    site = SiteFile(tmp_path / "site.yaml", mosquitto.url, tiny_bundle)
    main, sub = (TestCamera(tmp_path, units, login=("viewer", "hunter2")) for _ in range(2))
    addresses = {name: c.url.replace("//", "//viewer:hunter2@") for name, c in (("url", main), ("sub_stream", sub))}
    site.write(f"  door: {{url: '{addresses['url']}', sub_stream: '{addresses['sub_stream']}'}}\n")

    def watched() -> list[str]:
        return [line["source"] for line in lines(tmp_path / "service.log") if line["event"] == "camera online"]

    shown = {name: f"rtsp://***@127.0.0.1:{camera.port}/cam" for name, camera in (("main", main), ("sub", sub))}
    with running(tmp_path, "--config", site.path) as service:
        with main.running():
            until(lambda: len(lines(tmp_path / "s.jsonl")) > 1, PATIENCE, "scores of the main stream")
            assert watched() == [shown["main"]]
            assert service.said("sub-stream cannot be opened: trying the main stream")
        with sub.running():
            until(lambda: watched() == [shown["main"], shown["sub"]], PATIENCE, "the sub-stream once it is there")
        assert service.stop() == 0
    assert "hunter2" not in service.log.read_text()


def test_cameras_come_change_and_go_while_the_others_keep_their_windows(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, units: list[bytes]
) -> None:
    subscriber = Subscriber(mosquitto.port, "#")
    site = SiteFile(tmp_path / "site.yaml", mosquitto.url, tiny_bundle)
    camera = TestCamera(tmp_path, units)
    alarm = "{threshold_on: 1, threshold_off: 1}"

    def scores_of(name: str) -> list[dict[str, Any]]:
        return [line for line in lines(tmp_path / "s.jsonl") if line["camera"] == name]

    def windows(name: str) -> list[int]:
        return [line["window"] for line in scores_of(name)]

    def emptied(topic: str) -> bool:
        return subscriber.last(topic) == ""

    def one(name: str, more: str = f"alarm: {alarm}") -> str:
        return f"  {name}: {{url: {camera.url}, {more}}}\n"

    site.write(one("door") + one("yard") + one("gate"))
    with camera.running(), running(tmp_path, "--config", site.path) as service:
        until(lambda: all(len(scores_of(n)) > 4 for n in ("door", "yard", "gate")), PATIENCE, "scores of all three")
        assert subscriber.last("mgfn/gate/threshold/state") == "1"

        # one goes, one comes, one is masked, one stays
        masked = f"alarm: {alarm}, masks: [[[0, 0], [1, 0], [1, 1], [0, 1]]]"
        site.write(one("door") + one("yard", masked) + one("hall"))
        until(lambda: service.said("cameras reconfigured"), PATIENCE, "the changed file being noticed")
        until(lambda: len(scores_of("hall")) > 2, PATIENCE, "scores of the camera that came")
        until(lambda: windows("yard").count(1) == 2 and windows("yard")[-1] > 2, PATIENCE, "scores after the mask")
        until(lambda: subscriber.last("mgfn/hall/status") in WATCHED, PATIENCE)
        for topic in ("status", "available", "anomaly", "enabled/state", "threshold/state"):
            until(partial(emptied, f"mgfn/gate/{topic}"), PATIENCE, f"emptied {topic}")
        until(
            lambda: subscriber.last("homeassistant/device/nvr_gate_7a1307/config") == "",
            PATIENCE,
            "its discovery emptied",
        )
        assert '"added": ["hall"], "removed": ["gate"], "restarted": ["yard"], "changed": [], "unchanged": 1' in (
            service.log.read_text()
        )

        # alarms alone: at once, without another connection and with the window as it was
        count = len(scores_of("door"))
        site.write(one("door", "alarm: {threshold_on: 0, threshold_off: 0}") + one("yard", masked))
        os.kill(service.process.pid, signal.SIGHUP)
        until(lambda: subscriber.last("mgfn/door/anomaly") == "ON", PATIENCE, "the alarm under the new threshold")
        until(lambda: len(scores_of("door")) > count + 3, PATIENCE, "more scores")
        assert subscriber.last("mgfn/door/threshold/state") == "0"

        # what was set over MQTT holds whatever the file says
        subscriber.publish("mgfn/door/threshold/set", "0.9")
        until(lambda: subscriber.last("mgfn/door/threshold/state") == "0.9", PATIENCE)
        site.write(one("door", "alarm: {threshold_on: 0.1}, enabled: false") + one("yard", masked))
        until(lambda: subscriber.last("mgfn/door/status") == "disabled", PATIENCE, "the camera switched off")
        assert subscriber.last("mgfn/door/threshold/state") == "0.9"
        until(lambda: service.said("override from an earlier run applied"), PATIENCE, "the log line")

        # a bad file changes nothing, and says so with a line for each problem; nor does one that needs a restart
        count = len(scores_of("yard"))
        site.write("  door: {url: http://there, masks: [[[0, 2], [0, 0], [1, 1]]]}\n")
        for problem in ("masks[0][0][1]: 2: must be at most 1", "url: http://there: scheme not supported"):
            until(partial(service.said, f"site.yaml:7: cameras.door.{problem}"), PATIENCE)
        site.write(one("yard", masked) + one("gate"), top="retention: {media_days: 3}\n")
        until(lambda: service.said("this key needs a restart"), PATIENCE, "the key named")
        until(lambda: subscriber.last("mgfn/door/status") == "", PATIENCE, "the camera gone")
        until(lambda: len(scores_of("yard")) > count, PATIENCE, "scores all the same")
        until(lambda: subscriber.last("mgfn/gate/status") in WATCHED, PATIENCE, "the camera that came back")
        assert service.stop() == 0

    assert windows("door") == [min(32, n + 1) for n in range(len(windows("door")))]  # one connection
    yard = windows("yard")
    assert [n for n, window in enumerate(yard) if window == 1][1:] == [yard.index(1, 1)]  # masked once, then kept
    subscriber.close()
    late = Subscriber(mosquitto.port, "#")
    until(lambda: late.last("mgfn/yard/available"))
    until(lambda: late.last("mgfn/gate/status") == "offline")
    until(lambda: late.last("homeassistant/device/nvr_gate_7a1307/config"))
    assert json.loads(late.last("homeassistant/device/nvr_gate_7a1307/config") or "")["components"]
    assert not [topic for topic, _, _ in late.messages if "door" in topic]
    late.close()
