"""Every route of the application, for every role: the list is the application's own, so a new route needs a rule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import BaseRoute, Route, WebSocketRoute

from stream.alarm.requests import RunTest, TakePicture
from stream.web import page as page_package
from stream.web.guesses import WRONG_PER_MINUTE, Guesses
from stream.web.page import drawing
from stream.web.server import Pages, make_app
from tests.stream.web.sites import Site

TOKEN: Final = "correct-horse-battery"
HEADER: Final = {"Authorization": f"Bearer {TOKEN}"}
FILLED: Final = {"camera": "door", "name": "app.js", "number": "0"}
OK, DONE, ABSENT, REFUSED = 200, 202, 404, 422
# What each route answers to whoever holds the token. A route that is not here has no rule, and the test fails.
RULES: Final[dict[tuple[str, str], int]] = {
    ("GET", "/"): OK,
    ("GET", "/page/{name}"): OK,
    ("GET", "/healthz"): OK,
    ("GET", "/readyz"): OK,
    ("GET", "/metrics"): OK,
    ("GET", "/api/state"): OK,
    ("GET", "/api/stream"): OK,
    ("GET", "/api/cameras/{camera}/picture.jpg"): OK,
    ("GET", "/api/cameras/{camera}/line"): OK,
    ("GET", "/api/cameras/{camera}/view"): OK,
    ("GET", "/api/cameras/{camera}/frame.jpg"): ABSENT,  # no decoder writes it
    ("POST", "/api/cameras/{camera}/view"): REFUSED,
    ("POST", "/api/search"): REFUSED,
    ("GET", "/api/search"): OK,
    ("GET", "/api/search/{number}/picture.jpg"): OK,
    ("POST", "/api/search/add"): REFUSED,
    ("GET", "/api/scores"): REFUSED,  # asked for without a camera
    ("GET", "/api/events"): OK,
    ("GET", "/api/events/{event_id}"): OK,
    ("GET", "/api/events/{event_id}/strip.jpg"): OK,
    ("GET", "/api/events/{event_id}/thumbnail.jpg"): ABSENT,  # this event has no image
    ("GET", "/api/events/{event_id}/snapshot.jpg"): ABSENT,
    ("GET", "/api/events/{event_id}/clip.mp4"): ABSENT,
    ("GET", "/api/what-if"): REFUSED,
    ("GET", "/api/suggestion"): REFUSED,
    ("POST", "/api/cameras/{camera}/budget"): REFUSED,  # sent without a body
    ("POST", "/api/cameras/{camera}/threshold"): REFUSED,
    ("POST", "/api/cameras/{camera}/enabled"): REFUSED,
    ("POST", "/api/cameras/{camera}/snooze"): REFUSED,
    ("POST", "/api/cameras/{camera}/test"): DONE,
    ("POST", "/api/events/{event_id}/verdict"): REFUSED,
    ("POST", "/api/events/{event_id}/ack"): REFUSED,
    ("POST", "/api/mode"): REFUSED,
}


@pytest.fixture(scope="module")
def served(day: Path) -> Iterator[tuple[Site, httpx.Client]]:
    site = Site(day, TOKEN)
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
    assert sorted(walked(served[0].app.routes)) == sorted(RULES)


def answer(client: httpx.Client, method: str, url: str, **headers: str) -> httpx.Response:
    """Without reading an endless body."""
    with client.stream(method, url, headers=headers) as got:
        return got


@pytest.mark.slow
def test_no_route_answers_without_the_token_and_each_with_it(served: tuple[Site, httpx.Client]) -> None:
    site, client = served
    (event,) = client.get("/api/events", headers=HEADER).json()
    login = client.post("/login", data={"token": TOKEN})
    cookie = login.headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    site.posted.clear()
    static = [file.name for file in (Path(page_package.__file__).parent / "static").iterdir()]
    for (method, path), expected in RULES.items():
        filled = path.format(event_id=event["id"], **FILLED)
        for url in [f"/page/{name}" for name in static] if "{name}" in path else [filled, f"{filled}/", f"/{filled}"]:
            for other in {method, "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}:
                got = answer(client, other, url)
                assert got.status_code == 401, f"{other} {url} is open"
                assert "access-control-allow-origin" not in got.headers
        roles = {"token": HEADER, "cookie": {"Cookie": cookie}}
        for role, headers in roles.items():
            got = answer(client, method, filled, Origin=str(client.base_url).rstrip("/"), **headers)
            assert got.status_code == expected, f"{method} {filled} with the {role}: {got.status_code}"
            assert "access-control-allow-origin" not in got.headers
            assert "default-src" in got.headers["content-security-policy"]
            assert got.headers["x-content-type-options"] == "nosniff"
            evil = answer(client, method, filled, Origin="http://evil.example", **headers)
            assert "access-control-allow-origin" not in evil.headers
            assert evil.status_code == (403 if method == "POST" else expected)
    posted = [command for command in site.posted if not isinstance(command, TakePicture)]  # which changes nothing
    assert posted == [RunTest("door")] * 2  # what was asked for above, and nothing else


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
    for token, headers, accepted in (
        (TOKEN, {"Host": "h"}, False),
        (TOKEN, {"Host": "h", "Authorization": "Bearer wrong"}, False),
        (TOKEN, {"Host": "h", **HEADER}, True),
        (TOKEN, {"Host": "h", "Origin": "http://evil.example", **HEADER}, False),
        (None, {"Host": "localhost"}, True),
        (None, {"Host": "evil.example"}, False),
        (None, {"Host": "localhost", "Origin": "http://evil.example"}, False),
    ):
        app = make_app(pages, token)

        @app.websocket("/ws")
        async def socket(found: WebSocket) -> None:
            await found.accept()

        assert ("WS", "/ws") in list(walked(app.routes))
        assert ("websocket.accept" in opened(app, **headers)) is accepted, (token, headers)


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
    with Site(day, TOKEN).serving() as client:
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
