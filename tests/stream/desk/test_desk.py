"""One page for many instances, with a real Mosquitto and a real Chromium."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from stream.base.addresses import parse_broker
from stream.base.people import People
from stream.desk.app import desk_app
from stream.desk.board import MOST_ALARMS, MOST_NODES, MOST_WORKERS, Board
from stream.desk.listener import DeskListener
from stream.desk.metrics import exposition, targets
from stream.sinks.mqtt_client import TlsFiles
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.stream.web.test_every_route import walked

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def node(name: str = "north", **more: Any) -> bytes:
    return json.dumps({"node": name, "version": "1.2", "cameras": ["door"], "page": None} | more).encode()


def event(number: int = 0, **more: Any) -> bytes:
    told = {"id": f"{number}.00-abcdef", "camera": "door", "label": "anomaly", "severity": "alarm", "test": False,
            "start_time": float(number), "end_time": None, "acknowledged": None}  # fmt: skip
    return json.dumps(told | more).encode()


@pytest.mark.parametrize(
    "changes",
    [{"camera": []}, {"camera": {}}, {"start_time": float("nan")}, {"start_time": 1e300}, {"end_time": float("inf")},
     {"end_time": "later"}],
)  # fmt: skip
def test_what_no_node_sends_is_left_out(changes: dict[str, Any]) -> None:
    board = Board()
    board.take("a/node", node())
    assert board.take("a/events", event(1, **changes)) == []
    board.take("a/events", event(2))
    assert [alarm["id"] for alarm in board.as_json()["alarms"]] == ["2.00-abcdef"]


def test_what_is_known_of_nodes() -> None:
    board = Board()
    assert board.take("a/door/status", b"online") == []  # of nobody
    assert "a/+/status" in board.take("a/node", node())
    assert board.take("a/node", node(cameras=["door", "yard", "a/b", 7])) == []  # known, with another camera
    for topic, payload in (
        ("a/available", b"online"), ("a/door/status", b"degraded"), ("a/door/problem", b"too dark"),
        ("a/yard/problem", b"none"), ("a/yard/anomaly", b"ON"), ("a/hall/status", b"online"), ("a/events", event()),
        ("a/events", event(1, severity="notice")), ("a/events", event(2, camera="hall")),
        ("a/events", event(0, acknowledged={"by": "anna", "time": 1.0})),
    ):  # fmt: skip
        assert board.take(topic, payload) == []
    (found,) = board.as_json()["nodes"]
    assert found["cameras"] == [
        {"name": "door", "owned": True, "status": "degraded", "problem": "too dark"},
        {"name": "yard", "owned": True, "problem": "", "anomaly": "ON"},
    ]  # fmt: skip
    (alarm,) = board.as_json()["alarms"]
    assert (alarm["id"], alarm["acknowledged"]["by"], alarm["node"]) == ("0.00-abcdef", "anna", "north")
    assert board.knows("a", "door", "0.00-abcdef")
    assert not board.knows("a", "yard", "0.00-abcdef")
    board.take("a/node", b"")
    assert board.as_json()["nodes"] == []


def worker(name: str, *, cluster: str = "site: 2 shards", page: str | None = None, **cameras: Any) -> bytes:
    told = {"node": "site", "worker": name, "cluster": cluster, "host": "hall", "capacity": 12.0,
            "labels": ["net=yard"], "draining": False, "page": page, "cameras": cameras}  # fmt: skip
    return json.dumps(told).encode()


def cluster(**more: bytes) -> Board:
    """Two workers; the second has died, and its cameras are not taken over yet."""
    board = Board()
    board.take("a/node", node("site", cameras=["door", "gate", "yard"]))
    for topic, payload in {
        "x/available": b"online",
        "x/node": worker("x", page="http://hall:8080/", door={"fence": 3, "choice": 1, "of": 2, "needs": ["net=yard"]}),
        "y/available": b"offline",
        "y/node": worker("y", door={"fence": 1}, gate={"fence": 1, "choice": 2, "of": 2}),
        **more,
    }.items():
        assert board.take(f"a/worker/{topic}", payload) == []
    return board


def test_which_worker_has_which_camera_and_why() -> None:
    (site,) = cluster().as_json()["nodes"]
    assert site["up"]  # although nothing has said so on its own topic
    assert [(each["name"], each["state"], each["cameras"], each["capacity"]) for each in site["workers"]] == [
        ("x", "up", 1, 12.0), ("y", "down", 0, 12.0),
    ]  # fmt: skip
    nobody = {"owned": False, "worker": None}
    assert site["cameras"] == [
        {"name": "door", "owned": True, "worker": "x", "fence": 3, "choice": 1, "of": 2, "needs": ["net=yard"]},
        {"name": "gate", **nobody},
        {"name": "yard", **nobody},
    ]


def test_a_worker_that_comes_back_has_only_what_nobody_took_meanwhile() -> None:
    board = cluster()
    board.take("a/worker/y/available", b"online")
    assert [camera.get("worker") for camera in board.as_json()["nodes"][0]["cameras"]] == ["x", "y", None]
    drained = {**json.loads(worker("y")), "draining": True}
    board.take("a/worker/y/node", json.dumps(drained).encode())
    assert [each["state"] for each in board.as_json()["nodes"][0]["workers"]] == ["up", "draining"]


def test_workers_of_another_number_of_shards_are_forgotten_once_they_are_down() -> None:
    old = {"z/node": worker("z", cluster="site: 3 shards"), "z/available": b"offline"}
    board = cluster(**old)
    assert [each["name"] for each in board.as_json()["nodes"][0]["workers"]] == ["x", "y"]
    board.take("a/worker/x/available", b"offline")
    (site,) = board.as_json()["nodes"]
    assert [each["name"] for each in site["workers"]] == ["x", "y", "z"]  # none runs: who knows which are current
    assert not site["up"]
    board.take("a/worker/z/node", b"")
    assert len(board.as_json()["nodes"][0]["workers"]) == 2


def test_an_alarm_leads_to_the_page_of_the_worker_that_raised_it() -> None:
    board = cluster()
    board.take("a/events", event(1, fence=3))
    board.take("a/events", event(2, fence=2))  # of a worker that nobody knows
    board.take("a/worker/x/node", worker("x", page="http://hall:8080/"))  # its camera has moved meanwhile
    board.take("a/events", event(1, fence=3, end_time=9.0))
    assert [(alarm["page"], alarm["end_time"]) for alarm in board.as_json()["alarms"]] == [
        (None, None), ("http://hall:8080/", 9.0),
    ]  # fmt: skip


def samples(text: bytes) -> dict[str, float]:
    found = (line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    return {re.sub(',?prefix="."', "", name): float(value) for name, value in found}


def test_what_prometheus_reads() -> None:
    board = cluster()
    board.take("b/node", node("alone", page="https://cameras.example/south"))
    board.take("b/available", b"online")
    state = {**board.as_json(), "problem": ""}
    assert samples(exposition(state)) == {
        "mgfn_desk_connected": 1, 'mgfn_node_up{node="site"}': 1, 'mgfn_node_cameras_owned{node="site"}': 1,
        'mgfn_node_cameras_unowned{node="site"}': 2, 'mgfn_worker_up{node="site",worker="x"}': 1,
        'mgfn_worker_up{node="site",worker="y"}': 0, 'mgfn_worker_draining{node="site",worker="x"}': 0,
        'mgfn_worker_draining{node="site",worker="y"}': 0, 'mgfn_worker_cameras{node="site",worker="x"}': 1,
        'mgfn_worker_cameras{node="site",worker="y"}': 0, 'mgfn_node_up{node="alone"}': 1,
        'mgfn_node_cameras_owned{node="alone"}': 1, 'mgfn_node_cameras_unowned{node="alone"}': 0,
    }  # fmt: skip
    assert targets(state) == [
        {
            "targets": ["cameras.example"],
            "labels": {"__scheme__": "https", "__metrics_path__": "/south/metrics", "prefix": "b", "node": "alone"},
        },
        {
            "targets": ["hall:8080"],
            "labels": {
                "__scheme__": "http",
                "__metrics_path__": "/metrics",
                "prefix": "a",
                "node": "site",
                "worker": "x",
            },
        },
    ]


@pytest.mark.parametrize(
    "payload",
    [b"[]", b"\xff", b'{"cameras": 7}', b'{"cameras": {"a/b": {"fence": 1}, "door": {"fence": "1"}, "yard": 7}}',
     b'{"labels": 7, "capacity": "x", "page": "javascript:alert(1)", "host": {}}',
     b'{"cameras": {"door": {"fence": true}}}'],
)  # fmt: skip
def test_what_no_worker_sends_is_nobody(payload: bytes) -> None:
    board = Board()
    board.take("a/node", node())
    board.take("a/worker/x/available", b"online")
    board.take("a/worker/x/node", payload)
    (found,) = board.as_json()["nodes"]
    assert [camera.get("worker") for camera in found["cameras"]] == [None]
    assert all(each["page"] is None for each in found["workers"])


ROUTES: Final = {
    ("GET", "/"): 200,
    ("GET", "/page/{name}"): 200,
    ("GET", "/api/desk"): 200,
    ("GET", "/api/targets"): 200,
    ("GET", "/metrics"): 200,
    ("POST", "/api/desk/ack"): 422,  # sent without a body
}


def test_no_route_answers_without_the_token() -> None:
    listener = DeskListener(parse_broker("mqtt://127.0.0.1:1"), TlsFiles(), [])
    app = desk_app(listener, People().with_token("correct-horse-battery"))
    assert sorted(walked(app.routes)) == sorted(ROUTES)

    async def walk() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
            for (method, path), status in ROUTES.items():
                url, given = path.format(name="desk.js"), {"Authorization": "Bearer correct-horse-battery"}
                assert (await client.request(method, url)).status_code == 401, url
                assert (await client.request(method, url, headers=given)).status_code == status, url
                evil = {**given, "Origin": "http://evil.example"}
                assert (await client.request(method, url, headers=evil)).status_code == (
                    403 if method == "POST" else status
                )

    asyncio.run(walk())


@pytest.mark.parametrize(
    "payload", [b"{}", b"[]", b"\xff", b"[" * 50_000, b'{"node": 1, "cameras": []}', b"x" * 200_000]
)
def test_what_is_no_node(payload: bytes) -> None:
    board = Board()
    assert board.take("a/node", payload) == []
    assert board.as_json() == {"nodes": [], "alarms": []}


def test_a_hostile_broker_fills_nothing() -> None:
    board = Board()
    for number in range(MOST_NODES + 5):
        board.take(f"p{number}/node", node(page="javascript:alert(1)"))
    for number in range(MOST_ALARMS + 5):
        board.take("p0/events", event(number))
    for number in range(MOST_WORKERS + 5):
        board.take(f"p{number % 9}/worker/w{number}/available", b"online")
        board.take(f"p{number % 9}/worker/w{number}/node", worker("w"))
    board.take("p0/events", event(9_999, kind="x" * 10_000))
    shown = board.as_json()
    assert sum(len(found["workers"]) for found in shown["nodes"]) == MOST_WORKERS
    assert (len(shown["nodes"]), len(shown["alarms"])) == (MOST_NODES, MOST_ALARMS)
    assert {found["page"] for found in shown["nodes"]} == {None}
    assert shown["alarms"][0]["id"] == f"{MOST_ALARMS + 4}.00-abcdef"


@contextmanager
def desk(folder: Path, broker: str, *more: str) -> Iterator[str]:
    """`mgfn-stream desk`; its address."""
    port = free_port()
    command = [sys.executable, "-m", "stream.cli", "desk", "--mqtt", broker, "--http", f"127.0.0.1:{port}", *more]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def known(address: str) -> list[str]:
    """The nodes that the desk knows, with the states of their doors."""
    try:
        nodes = httpx.get(f"{address}api/desk").json()["nodes"]
    except httpx.TransportError:
        return []
    return [f"{found['name']}: {found['cameras'][0].get('status')}" for found in nodes]


@pytest.mark.slow
def test_the_desk_shows_every_node_and_answers_an_alarm(tmp_path: Path, mosquitto: Mosquitto, browser: Browser) -> None:
    north, south = Subscriber(mosquitto.port, "north/#"), Subscriber(mosquitto.port, "site/south/#")
    for client, prefix, name in ((north, "north", "North"), (south, "site/south", "South")):
        client.publish(f"{prefix}/node", node(name, page="http://192.0.2.7:8080/").decode(), retain=True)
        client.publish(f"{prefix}/available", "online", retain=True)
        client.publish(f"{prefix}/door/status", "online", retain=True)
    with desk(tmp_path, mosquitto.url) as address:
        until(lambda: known(address) == ["North: online"], 60, "the node with one level")
    with desk(tmp_path, mosquitto.url, "--topic-prefix", "north", "--topic-prefix", "site/south") as address:
        until(lambda: known(address) == ["North: online", "South: online"], 60, "both nodes")
        page = browser.new_page(viewport={"width": 360, "height": 740})
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(address)
        page.get_by_role("link", name="South").wait_for()
        long = "a-machine-with-a-long-name.example.org-1"
        had = {"fence": 7, "choice": 2, "of": 3, "needs": ["net=yard"], "moves_to": "hall-2"}
        for name, told in ((long, worker(long, page="http://192.0.2.8:8081/", door=had)), ("hall-2", worker("hall-2"))):
            north.publish(f"north/worker/{name}/available", "online" if name == long else "offline", retain=True)
            north.publish(f"north/worker/{name}/node", told.decode(), retain=True)
        page.get_by_text("lease 7: choice 2 of 3: the ones before are full, needs net=yard, moves to hall-2").wait_for()
        assert page.get_by_role("link", name=long).first.get_attribute("href") == "http://192.0.2.8:8081/"
        workers = page.get_by_role("list", name="Workers")
        assert workers.locator("li").all_inner_texts() == [
            f"{long} up hall, cameras: 1, capacity: 12, net=yard",
            "hall-2 down hall, cameras: 0, capacity: 12, net=yard",
        ]  # fmt: skip
        north.publish(f"north/worker/{long}/available", "offline", retain=True)
        page.get_by_text("nobody watches it").wait_for()
        page.screenshot(path=str(tmp_path / "desk.png"), full_page=True)
        now = int(time.time())
        south.publish("site/south/door/anomaly", "ON", retain=True)
        south.publish("site/south/events", event(now, kind="fight").decode())
        page.get_by_text("South, door: alarm (fight)").wait_for()
        page.locator("article.alarm").wait_for()
        assert page.title() == "(1) mgfn-stream desk"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("button", name="Acknowledge").click()
        until(lambda: south.last("site/south/door/ack/set"), what="the answer")
        assert json.loads(str(south.last("site/south/door/ack/set"))) == {"id": f"{now}.00-abcdef", "by": "desk"}
        acknowledged = {"by": "desk", "time": float(now)}
        south.publish("site/south/events", event(now, type="ack", acknowledged=acknowledged).decode())
        page.get_by_text("acknowledged by desk").wait_for()
        south.publish("site/south/available", "offline", retain=True)
        until(lambda: page.locator("article[aria-label=South] .badge.bad").count() == 2, what="the node offline")
        unknown = httpx.post(f"{address}api/desk/ack", json={"prefix": "x", "camera": "door", "id": "1"})
        assert unknown.status_code == 409
        assert complaints == []
        page.close()
    for client, prefix in ((north, "north"), (south, "site/south")):
        client.publish(f"{prefix}/node", "", retain=True)
        client.close()
