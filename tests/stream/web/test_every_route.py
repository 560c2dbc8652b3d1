"""Every route of the application, for every role: the list is the application's own, so a new route needs a rule."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import BaseRoute, Route, WebSocketRoute

from stream.alarm.audit import Change
from stream.alarm.requests import RunTest, SetThreshold
from stream.archive.explanation import jpeg
from stream.archive.store import Store
from stream.base.people import TOKEN_HOLDER, People, Person, Proxy
from stream.web import page as page_package
from stream.web.guesses import WRONG_PER_MINUTE, Guesses
from stream.web.page import drawing
from stream.web.rules import RULES as PRODUCT_RULES
from stream.web.server import NOBODY, Pages, make_app
from tests.stream.web.sites import METRICS, Site

TOKEN: Final = "correct-horse-battery"
HEADER: Final = {"Authorization": f"Bearer {TOKEN}"}
PEOPLE: Final = People(
    (
        Person("anna", operator=True, token="anna-anna-anna-anna"),
        Person("guard", operator=False, token="guard-guard-guard"),
        Person("door", operator=False, cameras=frozenset({"door"}), token="door-door-door-door"),
        Person("porter", operator=True, cameras=frozenset({"door"}), token="porter-porter-porter"),
        Person("yard", operator=False, cameras=frozenset({"yard"}), token="yard-yard-yard-yard"),
        Person("gardener", operator=True, cameras=frozenset({"yard"}), token="gardener-gardener"),
    ),
    Proxy("Remote-User", (ip_network("127.0.0.1/32"),)),
).with_token(TOKEN)
FILLED: Final = {"camera": "door", "name": "app.js", "number": "0", "by": "notify-1", "code": "0" * 32}
OK, DONE, FORBIDDEN, ABSENT, REFUSED = 200, 202, 403, 404, 422
# What each route answers about the camera `door`: to operators of all cameras (and of `door`), to viewers of all
# cameras (and of `door`), and to a viewer and an operator of `yard`. A route that is not here has no rule, and the test
# fails.
RULES: Final[dict[tuple[str, str], tuple[int, int, int, int]]] = {
    ("GET", "/"): (OK, OK, OK, OK),
    ("GET", "/page/{name}"): (OK, OK, OK, OK),
    ("GET", "/healthz"): (OK, OK, OK, OK),
    ("GET", "/readyz"): (OK, OK, OK, OK),
    ("GET", "/metrics"): (OK, OK, OK, OK),
    ("GET", "/api/state"): (OK, OK, OK, OK),
    ("GET", "/api/stream"): (OK, OK, OK, OK),
    ("GET", "/api/audit"): (OK, FORBIDDEN, FORBIDDEN, OK),
    ("GET", "/api/cameras/{camera}/picture.jpg"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/cameras/{camera}/live.mjpeg"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/cameras/{camera}/line"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/scores?camera=door"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events"): (OK, OK, OK, OK),
    ("GET", "/api/events/{event_id}"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events/{event_id}/strip.jpg"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events/{event_id}/heat.json"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events/{event_id}/heat.jpg"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events/{event_id}/thumbnail.jpg"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events/{event_id}/snapshot.jpg"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/events/{event_id}/clip.mp4"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/what-if?camera=door&threshold=0.5"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/suggestion?camera=door&per_day=2"): (OK, OK, ABSENT, ABSENT),
    ("POST", "/api/cameras/{camera}/budget"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),  # sent without a body
    ("POST", "/api/cameras/{camera}/threshold"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),
    ("POST", "/api/cameras/{camera}/enabled"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),
    ("POST", "/api/cameras/{camera}/snooze"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),
    ("POST", "/api/cameras/{camera}/test"): (DONE, FORBIDDEN, FORBIDDEN, ABSENT),
    ("POST", "/api/events/{event_id}/verdict"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),
    ("POST", "/api/events/{event_id}/ack"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),
    ("GET", "/api/cameras/{camera}/view"): (OK, OK, ABSENT, ABSENT),
    ("GET", "/api/cameras/{camera}/frame.jpg"): (ABSENT, FORBIDDEN, FORBIDDEN, ABSENT),  # no decoder writes it
    ("POST", "/api/cameras/{camera}/view"): (REFUSED, FORBIDDEN, FORBIDDEN, ABSENT),
    ("POST", "/api/search"): (REFUSED, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("GET", "/api/search"): (OK, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("GET", "/api/search/{number}/picture.jpg"): (OK, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("POST", "/api/search/add"): (REFUSED, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("POST", "/api/mode"): (REFUSED, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("GET", "/api/modes"): (OK, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("POST", "/api/modes"): (REFUSED, FORBIDDEN, FORBIDDEN, FORBIDDEN),
    ("POST", "/api/events/{event_id}/answer/{by}/{code}"): (FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN),  # wrong code
}
# what is for operators of all cameras, and not for those of `door`
PORTER: Final = {route: FORBIDDEN for route in RULES if route[1].startswith(("/api/mode", "/api/search"))}
COLUMN: Final = {"operator": 0, "anna": 0, "porter": 0, "guard": 1, "door": 1, "yard": 2, "gardener": 3}


@pytest.fixture(scope="module")
def served(day: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, httpx.Client]]:
    folder = shutil.copytree(day, tmp_path_factory.mktemp("roles") / "data")
    with Store.open(folder) as store, store.transaction():
        (listed,) = store.events.since(0.0)
        (store.media / f"{listed.message.id}.jpg").write_bytes(jpeg(np.zeros((90, 160, 3), np.uint8)))
        (store.media / f"{listed.message.id}.mp4").write_bytes(b"a clip")
        for camera in ("door", "yard", ""):
            store.audit.add(Change(1.0, "anna", "page", camera, "threshold", "0.5"), 1.0)
    site = Site(folder, PEOPLE)
    site.cameras = ("door", "yard")
    with pytest.MonkeyPatch.context() as patch, site.serving() as client:
        patch.setattr(drawing, "PATIENCE", 0.1)
        yield site, client


def walked(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of every route: "WS" for a WebSocket, "?" for what cannot be looked into, such as a mount."""
    for context in iter_route_contexts(routes):
        route, path = context.original_route, context.path
        if isinstance(route, WebSocketRoute | APIWebSocketRoute):
            yield "WS", str(path)
        elif isinstance(route, Route | APIRoute):
            yield from ((method, str(path)) for method in sorted(route.methods or {"ANY"}) if method != "HEAD")
        else:
            yield "?", repr(route)


def test_every_route_has_a_rule(served: tuple[Site, httpx.Client]) -> None:
    routes = sorted(walked(served[0].app.routes))
    assert routes == sorted((method, path.partition("?")[0]) for method, path in RULES)
    assert {path for _, path in routes} == set(PRODUCT_RULES)


def answer(client: httpx.Client, method: str, url: str, **headers: str) -> httpx.Response:
    """Without reading an endless body."""
    with client.stream(method, url, headers=headers) as got:
        return got


@pytest.mark.slow
def test_no_route_answers_without_a_token_and_each_as_the_role_allows(served: tuple[Site, httpx.Client]) -> None:
    site, client = served
    (event,) = client.get("/api/events", headers=HEADER).json()
    site.posted.clear()
    static = [file.name for file in (Path(page_package.__file__).parent / "static").iterdir()]
    for (method, path), expected in RULES.items():
        filled = path.format(event_id=event["id"], **FILLED)
        bare = filled.partition("?")[0]
        for url in [f"/page/{name}" for name in static] if "{name}" in path else [filled, f"{bare}/", f"/{bare}"]:
            for other in {method, "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}:
                got = answer(client, other, url)
                assert got.status_code == 401, f"{other} {url} is open"
                assert "access-control-allow-origin" not in got.headers
        for person in PEOPLE.people:
            login = client.post("/login", data={"token": person.token})
            client.cookies.clear()
            ways = {
                "token": {"Authorization": f"Bearer {person.token}"},
                "cookie": {"Cookie": login.headers["set-cookie"].partition(";")[0]},
                "proxy": {"Remote-User": person.name},
            }
            for way, headers in ways.items():
                got = answer(client, method, filled, Origin=str(client.base_url).rstrip("/"), **headers)
                status = expected[COLUMN[person.name]]
                if person.name == TOKEN_HOLDER and way == "proxy":  # no proxy names whoever holds the token
                    status = FORBIDDEN
                if person.name == "porter":
                    status = PORTER.get((method, path), status)
                assert got.status_code == status, f"{method} {filled} as {person.name} by {way}: {got.status_code}"
                assert "access-control-allow-origin" not in got.headers
                assert "default-src" in got.headers["content-security-policy"]
                assert got.headers["x-content-type-options"] == "nosniff"
                evil = answer(client, method, filled, Origin="http://evil.example", **headers)
                assert "access-control-allow-origin" not in evil.headers
                assert evil.status_code == (403 if method == "POST" else status)
    assert {(command, command.origin.who) for command in site.posted if isinstance(command, RunTest)} == {
        (RunTest("door"), name) for name in ("operator", "anna", "porter")
    }


def seen(client: httpx.Client, person: str, path: str) -> str:
    """The whole answer; of the stream, the part up to the second score."""
    with client.stream("GET", path, headers={"Remote-User": person}) as got:
        lines = got.iter_lines()
        if path != "/api/stream":
            return "".join(lines)
        found: list[str] = []
        while not any("marker" in line for line in found):
            found.append(next(lines))
        return "".join(found)


@pytest.mark.slow
def test_who_sees_one_camera_sees_nothing_of_another(served: tuple[Site, httpx.Client]) -> None:
    site, client = served
    stop = threading.Event()

    def tell() -> None:
        while not stop.wait(0.05):
            for camera in ("door", "yard"):
                site.live.tell("score", {"camera": camera, "score": 0.5, "marker": 1})
                site.live.tell("event", {"camera": camera, "id": f"1.00-{camera}"})

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        for method, path in RULES:
            if method != "GET" or "{" in path or "?" in path or path in ("/", "/api/search"):
                continue
            for person, other in (("door", "yard"), ("porter", "yard"), ("yard", "door"), ("gardener", "door")):
                text = seen(client, person, path).replace(f'"name": "{person}"', "")
                assert other not in text, (person, path)
        assert seen(client, "guard", "/metrics").encode() == METRICS.replace(b"\n", b"")
        assert "yard" in seen(client, "guard", "/api/state")
        asked = client.get("/api/events?camera=door", headers={"Remote-User": "yard"})
        assert (asked.status_code, asked.json()) == (200, [])
        for name, entries in (("anna", 3), ("porter", 1)):
            assert len(client.get("/api/audit", headers={"Remote-User": name}).json()) == entries
        both = client.get("/api/scores?camera=yard&camera=door", headers={"Remote-User": "yard"})
        assert both.status_code == 404
    finally:
        stop.set()
        teller.join()


@pytest.mark.slow
def test_only_a_trusted_proxy_names_a_person(day: Path) -> None:
    named = {"Remote-User": "anna"}
    with Site(day, PEOPLE).serving() as client:
        assert client.get("/api/state", headers=named).json()["you"]["name"] == "anna"
        assert client.get("/api/state", headers={**named, "X-Forwarded-For": "192.0.2.7"}).status_code == 200
        assert client.get("/api/state", headers={"Remote-User": "eve"}).status_code == 403
        twice = client.get("/api/state", headers=[("Remote-User", "anna"), ("Remote-User", "door")])
        assert twice.status_code == 403
    strangers = (replace(PEOPLE, proxy=None), replace(PEOPLE, proxy=Proxy("Remote-User", (ip_network("10.0.0.0/8"),))))
    for people in strangers:
        with Site(day, people).serving() as client:
            assert client.get("/api/state", headers=named).status_code == 401
            assert client.get("/api/state", headers={**named, "X-Forwarded-For": "10.0.0.1"}).status_code == 401


def test_the_second_of_two_operators_sees_what_is_in_force(data: Path) -> None:
    site = Site(data, PEOPLE)
    url = "/api/cameras/door/threshold"
    with site.serving() as client:
        body = {"threshold": 0.6, "seen": 0}
        assert client.post(url, json=body, headers={"Remote-User": "anna"}).status_code == 202
        late = client.post(url, json={"threshold": 0.9, "seen": 0}, headers={"Remote-User": "porter"})
        assert (late.status_code, "anna has just changed it" in late.json()["detail"]) == (409, True)
        change = Change(17.5, "anna", "page", "door", "threshold", "0.6")
        site.changes = {"door": {"threshold": change.as_json()}}
        later = client.post(url, json={"threshold": 0.9, "seen": 0}, headers={"Remote-User": "porter"})
        assert "threshold: anna has set it to 0.6 meanwhile" in later.json()["detail"]
        state = client.get("/api/state", headers={"Remote-User": "porter"}).json()
        seen = state["cameras"]["door"]["changes"]["threshold"]["at"]
        again = client.post(url, json={"threshold": 0.9, "seen": seen}, headers={"Remote-User": "porter"})
        assert again.status_code == 202
        assert client.post(url, json={"threshold": 0.8}, headers={"Remote-User": "anna"}).status_code == 202

        # whoever changes their mind has seen their own change; the same person on another page has not
        site.changes = {}
        mine = {"Remote-User": "anna", "X-Page": "one"}
        url = "/api/cameras/door/snooze"
        for minutes, page, status in ((60, "one", 202), (0, "one", 202), (30, "two", 409), (10, "one", 202)):
            body = {"minutes": minutes, "seen": 0}
            assert client.post(url, json=body, headers={**mine, "X-Page": page}).status_code == status, (minutes, page)
        site.changes = {"door": {"snooze": Change(18.5, "anna", "page", "door", "snooze", "10 min").as_json()}}
        assert client.post(url, json={"minutes": 5, "seen": 0}, headers=mine).status_code == 202
        site.changes = {"door": {"snooze": Change(19.5, "", "MQTT", "door", "snooze", "1 min").as_json()}}
        assert client.post(url, json={"minutes": 5, "seen": 18.5}, headers=mine).status_code == 409
    assert [(c.threshold, c.origin.who) for c in site.posted if isinstance(c, SetThreshold)] == [
        (0.6, "anna"), (0.9, "porter"), (0.8, "anna"),
    ]  # fmt: skip


def opened(app: FastAPI, **headers: str) -> list[str]:
    """What a WebSocket at /ws is answered."""
    said: list[str] = []
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "path": "/ws", "headers": raw, "query_string": b"", "scheme": "ws",
             "server": ("127.0.0.1", 80), "client": ("192.0.2.7", 9), "subprotocols": []}  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message["type"])

    asyncio.run(app(scope, receive, send))
    return said


def test_a_web_socket_that_somebody_adds_is_behind_the_same_check(tmp_path: Path) -> None:
    pages = Pages(dict, lambda: "", lambda: b"", tmp_path)
    cases: list[tuple[People | str | None, dict[str, str], bool]] = [
        (TOKEN, {"Host": "h"}, False),
        (PEOPLE, {"Host": "h", "Authorization": "Bearer anna-anna-anna-anna"}, True),
        (PEOPLE, {"Host": "h", "Authorization": "Bearer guard-guard-guard"}, False),  # it has no rule
        (PEOPLE, {"Host": "h", "Authorization": "Bearer porter-porter-porter"}, False),
        (TOKEN, {"Host": "h", "Authorization": "Bearer wrong"}, False),
        (TOKEN, {"Host": "h", **HEADER}, True),
        (TOKEN, {"Host": "h", "Origin": "http://evil.example", **HEADER}, False),
        (None, {"Host": "localhost"}, True),
        (None, {"Host": "evil.example"}, False),
        (None, {"Host": "localhost", "Origin": "http://evil.example"}, False),
    ]
    for given, headers, accepted in cases:
        app = make_app(pages, given if isinstance(given, People) else NOBODY.with_token(given))

        @app.websocket("/ws")
        async def socket(found: WebSocket) -> None:
            await found.accept()

        assert ("WS", "/ws") in list(walked(app.routes))
        assert ("websocket.accept" in opened(app, **headers)) is accepted, (given, headers)


def test_guesses_are_limited_over_all_addresses_together() -> None:
    guesses = Guesses()
    guesses.right("watcher")
    for number in range(WRONG_PER_MINUTE):
        assert guesses.allowed(f"bot {number}", now=100.0)
        guesses.wrong(f"bot {number}", now=100.0)
    assert not guesses.allowed("another bot", now=159.0)
    assert guesses.allowed("watcher", now=159.0)
    guesses.wrong("watcher", now=159.0)
    assert not guesses.allowed("watcher", now=159.0)
    assert guesses.allowed("another bot", now=160.1)


@pytest.mark.slow
def test_the_limit_holds_for_the_form_and_the_header_and_cookies_go_on(day: Path) -> None:
    with Site(day, NOBODY.with_token(TOKEN)).serving() as client:
        secure = client.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
        plain = client.post("/login", data={"token": TOKEN})
        assert "; secure" in secure.headers["set-cookie"].lower()
        assert "; secure" not in plain.headers["set-cookie"].lower()
        cookie = {"Cookie": plain.headers["set-cookie"].partition(";")[0]}
        client.cookies.clear()
        began = time.monotonic()
        codes = [client.get("/healthz", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(32)]
        assert time.monotonic() - began < 60
        assert codes == [401] * WRONG_PER_MINUTE + [429] * 2
        assert client.get("/healthz", headers=HEADER).status_code == 429  # even the right one is not compared
        assert client.post("/login", data={"token": TOKEN}).status_code == 429
        assert client.get("/healthz", headers=cookie).status_code == 200
