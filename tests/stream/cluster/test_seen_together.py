"""Three shards of the real program as the desk, Prometheus and subscribers see them; two of them stop together."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.archive.store import Store
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import until
from tests.stream.cluster.shards import Heard, make_video, online, shards, write_site
from tests.stream.desk.test_desk import desk

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # in real time: a busy machine starts decoders late

CAMERAS = [f"cam{number}" for number in range(4)]
TOKEN = "correct-horse-battery"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def site_of(address: str) -> dict[str, Any]:
    """The only node, as the desk shows it; empty before it is known."""
    try:
        nodes = httpx.get(f"{address}api/desk").json()["nodes"]
    except httpx.TransportError:
        return {}
    return dict(nodes[0]) if nodes else {}


def owners(address: str) -> dict[str, str | None]:
    return {camera["name"]: camera.get("worker") for camera in site_of(address).get("cameras", ())}


def states(address: str) -> dict[str, str]:
    return {worker["name"]: worker["state"] for worker in site_of(address).get("workers", ())}


def statuses(heard: Heard) -> Callable[[], set[str | None]]:
    """What the broker says of all cameras."""
    return lambda: {heard.last(f"mgfn/{camera}/{word}") for camera in CAMERAS for word in ("status", "available")}


def alarms(address: str) -> list[dict[str, Any]]:
    found = httpx.get(f"{address}api/desk").json()["alarms"]
    return [alarm for alarm in found if alarm["label"] == "anomaly"]


def raised(address: str) -> dict[str, float]:
    """The time of the newest alarm of each camera."""
    return {alarm["camera"]: float(alarm["id"].partition("-")[0]) for alarm in reversed(alarms(address))}


def pictures(heard: Heard) -> dict[str, float]:
    """When the images were taken that the broker retains, as the cameras' next owners are told."""
    return {camera: json.loads(heard.last(f"mgfn/checkpoint/{camera}") or "{}").get("picture") for camera in CAMERAS}


def offline_since(heard: Heard, at: float) -> set[str]:
    """Cameras of which somebody has said so since then."""
    found = (topic.split("/")[1] for topic, text in heard.since(at) if text == "offline")
    return set(CAMERAS) & set(found)


def test_shards_seen_together(tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto) -> None:
    site, token = tmp_path / "site.yaml", tmp_path / "token"
    video, rules = make_video(tmp_path, 60), "defaults: {{alarm: {{threshold_on: {}}}, retention: {{media_days: 3}}}}"
    write_site(site, mosquitto.url, tiny_bundle, video, CAMERAS, rules.format(0.3))
    token.write_text(TOKEN)
    heard = Heard(mosquitto.port)
    page = ("--http", "0.0.0.0:0", "--http-token-file", token)
    with shards(tmp_path, site, 3, *page) as workers, desk(tmp_path, mosquitto.url) as address:
        online(heard, CAMERAS)
        until(lambda: states(address) == dict.fromkeys(workers, "up"), 20, "three workers on the desk")
        until(lambda: owners(address) == {camera: heard.owner(camera) for camera in CAMERAS}, 20, "who has what")
        seen = site_of(address)
        assert {(camera["choice"], camera["of"]) for camera in seen["cameras"]} <= {(1, 3), (2, 3)}

        targets = httpx.get(f"{address}api/targets").json()
        assert {each["labels"]["worker"] for each in targets} == set(workers)
        for each in targets:
            own = {camera for camera, owner in owners(address).items() if owner == each["labels"]["worker"]}
            url = f"http://{each['targets'][0]}{each['labels']['__metrics_path__']}"
            assert httpx.get(url).status_code == 401
            text = httpx.get(url, headers=HEADERS).text
            assert own <= {camera for camera in CAMERAS if f'mgfn_camera_up{{camera="{camera}"}}' in text}

        until(lambda: all(heard.latest.get(f"mgfn/{camera}/anomaly/snapshot") for camera in CAMERAS), 20, "pictures")
        write_site(site, mosquitto.url, tiny_bundle, video, CAMERAS, rules.format(0.99))  # and no other alarm
        until(lambda: all(worker.said("site file reloaded") for worker in workers.values()), 20, "the site file")
        until(lambda: pictures(heard) == raised(address), 20, "checkpoints that tell of the pictures")
        taken = pictures(heard)
        assert all(alarm["page"] for alarm in alarms(address))

        first = heard.owner(CAMERAS[0])
        lost = [camera for camera, owner in owners(address).items() if owner == first]
        rest = set(workers) - {first}
        stopped = time.monotonic()
        assert workers[first].stop() == 0
        until(lambda: offline_since(heard, stopped) == set(lost), 10, "its cameras, and no other, offline")
        until(lambda: states(address)[first] == "down", 10, "the one that has stopped")
        until(lambda: set(owners(address).values()) <= rest, 30, "its cameras at the others")
        until(lambda: heard.scored(lost, stopped), 10)
        until(lambda: "offline" not in statuses(heard)(), 10, "all cameras online again")
        assert heard.last("mgfn/available") == "online"

        saved = sum(topic == f"mgfn/checkpoint/{lost[0]}" for topic, _ in heard.since(0.0))
        until(lambda: sum(topic == f"mgfn/checkpoint/{lost[0]}" for topic, _ in heard.since(0.0)) > saved, 20)
        assert pictures(heard)[lost[0]] == taken[lost[0]]  # its new owner knows how old the retained image is

        for name in rest:
            workers[name].process.send_signal(signal.SIGTERM)
        assert {workers[name].process.wait(30) for name in rest} == {0}
        until(lambda: statuses(heard)() == {"offline"}, 10, "nobody left")
        assert heard.last("mgfn/available") == "offline"
        until(lambda: set(owners(address).values()) == {None}, 10, "nobody on the desk")
        found = httpx.get(f"{address}metrics").text
        assert f'mgfn_node_cameras_unowned{{node="{seen["name"]}",prefix="mgfn"}} {len(CAMERAS):.1f}' in found
        assert found.count("mgfn_worker_up{") == 3
    for name in workers:  # each keeps data for as long as the site says, whoever watches the camera
        with Store.read_only(tmp_path / name.split("-")[1] / "data") as store:
            kept = store.settings.all()
            assert {json.loads(kept[camera]["retention"])["media_days"] for camera in CAMERAS} == {3}
    heard.close()
