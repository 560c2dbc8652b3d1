"""What the page refuses: hostile requests, other sites, and whoever has no token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from stream.web.server import NOBODY
from tests.stream.web.sites import Site

HOSTILE = ["..%2F..%2Fetc%2Fpasswd", "%00", "1000.00-abcdef'--", "1" * 5_000, "%F0%9F%92%A9", "1000.00-abcdef%0A"]


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_and_names_are_not_found(asked: httpx.Client, text: str) -> None:
    event, camera = f"/api/events/{text}", f"/api/cameras/{text}"
    pictures = [
        f"{event}/{name}"
        for name in ("strip.jpg", "heat.json", "heat.jpg", "thumbnail.jpg", "snapshot.jpg", "clip.mp4")
    ]
    pictures += [f"{camera}/picture.jpg", f"{camera}/line"]
    for url in (event, *pictures, f"/page/{text}", f"/api/scores?camera={text}"):
        assert asked.get(url).status_code in (404, 422), url
    for url in (f"{event}/verdict", f"{camera}/threshold"):
        assert asked.post(url, json={"verdict": "true"}).status_code in (404, 422), url


@pytest.mark.parametrize(
    "url",
    [
        "/api/what-if?camera=door&threshold=2", "/api/what-if?camera=door&threshold=nan",
        "/api/what-if?camera=door&threshold=0.5&since=1e9", "/api/what-if?camera=door&threshold=0.5&since=-1",
        "/api/what-if?camera=yard&threshold=0.5", "/api/what-if?threshold=0.5",
        "/api/what-if?camera=door&threshold=0.5&min_duration=inf", "/api/suggestion?camera=door&per_day=0",
        "/api/scores?camera=door&bins=1000000", "/api/scores?camera=door&since=2e6",
        "/api/scores?camera=door&since=inf", "/api/events?limit=100000",
        "/api/events?before=nan",
    ],
)  # fmt: skip
def test_hostile_ranges_are_refused(asked: httpx.Client, url: str) -> None:
    assert asked.get(url).status_code == 422


def test_hostile_bodies_are_refused(asked: httpx.Client) -> None:
    url = "/api/cameras/door/threshold"
    bodies: list[Any] = [{"threshold": 1.1}, {"threshold": "x"}, {"threshold": 0.5, "more": 1}, [], {}]
    for body in bodies:
        assert asked.post(url, json=body).status_code == 422
    as_json = {"Content-Type": "application/json"}
    texts = ['{"threshold": NaN}', '{"threshold": 1e400}', '{"threshold": 0.5, "\\ud800": 1}', "\xff", "[" * 50_000]
    for text in texts:
        answer = asked.post(url, content=text, headers=as_json)
        assert answer.status_code in (400, 422), text[:40]
        assert isinstance(answer.json()["detail"], str)
    assert "threshold: Input should be" in asked.post(url, json={"threshold": 2}).json()["detail"]
    assert asked.post("/api/cameras/door/enabled", json={"enabled": "yes"}).status_code == 422


def test_other_sites_change_nothing_and_other_names_see_nothing(data: Path) -> None:
    site = Site(data)
    url = "/api/cameras/door/threshold"
    with site.serving() as client:
        for headers in (
            {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "http://["},
        ):  # fmt: skip
            assert client.post(url, json={"threshold": 0.1}, headers=headers).status_code == 403
        own = {"Origin": f"http://127.0.0.1:{site.port}", "Sec-Fetch-Site": "same-origin"}
        assert client.post(url, json={"threshold": 0.1}, headers=own).status_code == 202
        for host in ("evil.example", "evil.example:8080", "", "[", "127.0.0.1.evil.example"):
            assert client.get("/api/state", headers={"Host": host}).status_code in (400, 403)
        assert client.get("/api/state", headers={"Host": f"localhost:{site.port}"}).status_code == 200
    assert len(site.posted) == 1


@pytest.mark.slow
def test_a_token_opens_the_page_by_a_cookie_that_is_not_the_token(data: Path) -> None:
    token = "correct-horse-battery"
    with Site(data, NOBODY.with_token(token)).serving() as client:
        asked = client.get("/")
        assert asked.status_code == 401
        assert "<form" in asked.text
        for url in ("/api/state", "/api/stream", "/page/app.js", "/metrics", "/healthz", "/api/events", "/nothing"):
            assert client.get(url).status_code == 401, url
        wrong = client.post("/login", data={"token": "wrong"})
        assert wrong.status_code == 401
        assert "Wrong token" in wrong.text
        assert client.post("/login", content=b"token=" + b"x" * 10_000).status_code == 413
        assert client.post("/login", data={"token": token}, headers={"Origin": "http://evil"}).status_code == 403
        opened = client.post("/login", data={"token": token})
        assert opened.status_code == 303
        said = opened.headers["set-cookie"].lower()
        assert "httponly" in said
        assert "samesite=lax" in said
        assert token not in said
        assert client.get("/").status_code == 200  # the client keeps the cookie
        ((name, stolen),) = client.cookies.items()
        client.cookies.clear()
        assert client.get("/api/state", headers={"Authorization": f"Bearer {stolen}"}).status_code == 401
        for cookie in (f"{name}=wrong", f"{name}=", name, f'a b="c; {name}=\xe9'):
            assert client.get("/api/state", headers={b"Cookie": cookie.encode("latin-1")}).status_code == 401
        others = f"strange name=1; {name}={stolen}"
        assert client.get("/api/state", headers={"Cookie": others}).status_code == 200
        assert client.get("/api/state", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        with Site(
            data, NOBODY.with_token("another-horse-battery")
        ).serving() as beside:  # on the same machine: cookies know no ports
            beside.post("/login", data={"token": "another-horse-battery"})
            assert set(beside.cookies) != {name}
