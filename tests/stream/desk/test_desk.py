"""One page for many instances, with a real Mosquitto and a real Chromium."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stream.desk.board import MOST_ALARMS, MOST_NODES, Board
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until

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
        {"name": "door", "status": "degraded", "problem": "too dark"}, {"name": "yard", "problem": "", "anomaly": "ON"}
    ]  # fmt: skip
    (alarm,) = board.as_json()["alarms"]
    assert (alarm["id"], alarm["acknowledged"]["by"], alarm["node"]) == ("0.00-abcdef", "anna", "north")
    assert board.knows("a", "door", "0.00-abcdef")
    assert not board.knows("a", "yard", "0.00-abcdef")
    board.take("a/node", b"")
    assert board.as_json()["nodes"] == []


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
    board.take("p0/events", event(9_999, kind="x" * 10_000))
    shown = board.as_json()
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
