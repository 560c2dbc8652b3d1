"""What the page asks for, and what is refused: ids, ranges, other sites, readers that do not read."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from stream.alarm.event import Event, ModelName, Moment
from stream.alarm.requests import Command, GiveVerdict, RunTest, SetEnabled, SetThreshold
from stream.archive.explanation import Explanation, jpeg
from stream.archive.media import media_path
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from stream.web import page as page_package
from stream.web.page.live import EventStream, LiveRoutes
from stream.web.page.sources import PageSources
from stream.web.page_stream import Live
from stream.web.server import Pages, make_app, make_server

MODEL = ModelName("b", "0" * 64, "openvino")


class Site:
    """A served page over a data folder; what it posts is kept."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        self.posted: list[Command] = []
        self.live = Live(kept=64)
        self.picture: np.ndarray | None = np.full((224, 224, 3), 90, np.uint8)
        self.line: list[tuple[float, float]] = []
        self._folder, self._token = folder, token

    def sources(self) -> PageSources:
        state: Callable[[], dict[str, Any]] = lambda: {"cameras": {"door": {"status": "online"}}}  # noqa: E731
        return PageSources(
            state, lambda _camera: self.picture, lambda _camera: self.line, self.posted.append, self.live, self._folder
        )

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        pages = Pages(lambda: {"loop_age": 0.0}, lambda: "", lambda: b"", self._folder / "media", self.sources())
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(listener.getsockname()[1])
        self.app = make_app(pages, self._token)
        server = make_server(self.app)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as client:
                yield client
        finally:
            self.live.close()
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
            listener.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of scores with two bursts, and the event of the later one with its window."""
    now, folder = time.time(), tmp_path_factory.mktemp("day")
    with Store.open(folder) as store, store.transaction():
        for first in range(0, 80_000, 60):
            rows = []
            for i in range(first, first + 60):
                start = now - 80_000 + i
                rows.append(LoggedScore(start, start + 1, 0.9 if i % 40_000 in range(39_000, 39_005) else 0.1, 32))
            store.scores.add("door", pack(rows))
        event = Event.begun("door", now - 1_000, (0.8, 0.6), MODEL)
        store.events.add(event.new(Moment(0.9, 0.9, 32, now)), now, awaits_files=False)
        store.events.add(event.end(None, now - 995, "score"), now, awaits_files=False)
        times = np.stack([np.arange(32.0), np.arange(1, 33.0)], axis=1) + now - 1_030
        weights = np.linspace(0, 1, 32, dtype=np.float32)
        pictures = np.zeros((32, 112, 112, 3), np.uint8)
        window = Explanation(times, np.zeros((32, 1, 64), np.float32), weights, 0.9, "b", pictures)
        media_path(store.media, event.id, "window").write_bytes(window.packed())
    return folder


@pytest.fixture(scope="module")
def shared(day: Path) -> Iterator[tuple[Site, httpx.Client]]:
    """One page for all tests that leave it as it is."""
    site = Site(day)
    with site.serving() as client:
        yield site, client


@pytest.fixture
def asked(shared: tuple[Site, httpx.Client]) -> Iterator[httpx.Client]:
    """A client of it; nothing may have been posted in the end."""
    site, client = shared
    site.posted.clear()
    yield client
    assert site.posted == []


@pytest.fixture
def data(day: Path, tmp_path: Path) -> Path:
    return shutil.copytree(day, tmp_path / "data")


def test_what_it_shows(asked: httpx.Client) -> None:
    page = asked.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    total = len(page.content)
    static = Path(page_package.__file__).parent / "static"
    modules = [file.name for file in static.glob("*.js")]
    for name in (*modules, "style.css"):
        found = asked.get(f"/page/{name}")
        assert found.status_code == 200
        assert found.headers["content-type"] == f"text/{'css' if name == 'style.css' else 'javascript'}; charset=utf-8"
        total += len(found.content)
        for imported in re.findall(r'^import .*"/page/(.+)";$', found.text, re.MULTILINE):
            assert imported in modules
    assert "app.js" in modules
    assert asked.get("/page/login.html").status_code == 404
    assert total < 100_000
    assert asked.get("/api/cameras/door/picture.jpg").content.startswith(b"\xff\xd8")
    past = asked.get("/api/scores", params={"camera": "door", "bins": 24}).json()
    assert len(past["peaks"]) == 24
    assert sum(peak is not None and peak > 0.8 for peak in past["peaks"]) == 2
    (event,) = asked.get("/api/events").json()
    assert past["alarms"] == [event["start_time"]]
    whole = asked.get(f"/api/events/{event['id']}").json()
    assert len(whole["clips"]) == 32
    assert max(score for _, score in whole["curve"]) == pytest.approx(0.9, abs=1e-3)
    assert asked.get(f"/api/events/{event['id']}/strip.jpg").content.startswith(b"\xff\xd8")
    answer = asked.get("/api/what-if", params={"camera": "door", "threshold": 0.7, "min_duration": 2}).json()
    assert len(answer["alarms"]) == 2
    proposal = asked.get("/api/suggestion", params={"camera": "door", "per_day": 5}).json()["proposal"]
    assert proposal["high"] > proposal["low"]


def test_the_newest_scores_are_there_before_they_are_stored(data: Path) -> None:
    site, now = Site(data), time.time()
    with Store.open(data) as store:
        event = Event.begun("door", now + 20, (0.8, 0.6), MODEL)
        store.events.add(event.new(Moment(0.9, 0.9, 32, now)), now, awaits_files=False)
        store.events.add(event.end(None, now + 50, "score"), now, awaits_files=False)
    site.line = [(now + 25, 0.95), (now + 60, 0.95), (now + 61, 0.5), (now + 100, 0.5)]  # stored is up to now + 40
    with site.serving() as client:
        assert client.get("/api/cameras/door/line").json() == [[round(at, 2), score] for at, score in site.line]
        curve = client.get(f"/api/events/{event.id}").json()["curve"]
    assert curve[-2:] == [[round(now + 60, 2), 0.95], [round(now + 61, 2), 0.5]]
    assert curve[0][1] == pytest.approx(0.1, abs=1e-3)


def test_a_long_alarm_shows_its_highest_scores(data: Path) -> None:
    now = time.time()
    with Store.open(data) as store:
        event = Event.begun("door", now - 60_000, (0.8, 0.6), MODEL)
        store.events.add(event.new(Moment(0.9, 0.9, 32, now)), now, awaits_files=False)
        store.events.add(event.end(None, now - 100, "score"), now, awaits_files=False)
    with Site(data).serving() as client:
        curve = client.get(f"/api/events/{event.id}").json()["curve"]
    assert len(curve) <= 1_000
    assert sum(score > 0.8 for _, score in curve) == 2


def test_what_it_does(data: Path) -> None:
    site = Site(data)
    with site.serving() as client:
        (event,) = client.get("/api/events").json()
        assert client.post(f"/api/events/{event['id']}/verdict", json={"verdict": "true"}).status_code == 202
        assert client.post("/api/cameras/door/threshold", json={"threshold": 0.7}).status_code == 202
        assert client.post("/api/cameras/door/enabled", json={"enabled": False}).status_code == 202
        assert client.post("/api/cameras/door/test", json={}).status_code == 202
        assert site.posted == [
            GiveVerdict("door", event["id"], "true"), SetThreshold("door", 0.7), SetEnabled("door", False),
            RunTest("door"),
        ]  # fmt: skip
        done = client.post("/api/cameras/door/budget", json={"per_day": 5})
        assert done.status_code == 202
    with Store.read_only(data) as store:
        assert float(store.settings.all()["door"]["threshold"]) == done.json()["proposal"]["threshold"]


HOSTILE = ["..%2F..%2Fetc%2Fpasswd", "%00", "1000.00-abcdef'--", "1" * 5_000, "%F0%9F%92%A9", "1000.00-abcdef%0A"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_and_names_are_not_found(asked: httpx.Client, text: str) -> None:
    event, camera = f"/api/events/{text}", f"/api/cameras/{text}"
    pictures = [f"{event}/{name}" for name in ("strip.jpg", "thumbnail.jpg", "snapshot.jpg", "clip.mp4")]
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
    with Site(data, token).serving() as client:
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
        assert "samesite=strict" in said
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
        with Site(data, "another-horse-battery").serving() as beside:  # on the same machine: cookies know no ports
            beside.post("/login", data={"token": "another-horse-battery"})
            assert set(beside.cookies) != {name}


def test_the_stream_tells_what_happens(data: Path) -> None:
    site = Site(data)
    with site.serving() as client, client.stream("GET", "/api/stream") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: state"
        site.live.tell("score", {"camera": "door", "score": 0.25})
        told = next(line for line in lines if line.startswith("data:") and "score" in line)
        assert json.loads(told.removeprefix("data: ")) == {"camera": "door", "score": 0.25}


def test_the_stream_counts_from_when_it_was_asked_for(data: Path) -> None:
    site = Site(data)

    async def first() -> str:
        answer = await routes.stream()
        assert isinstance(answer, EventStream)
        site.live.tell("event", {"id": "a"})  # before its first read
        async for told in answer.body_iterator:
            if "event: event" in str(told):
                return str(told)
        raise AssertionError("the stream ended")

    routes = LiveRoutes(site.sources())
    assert '"id": "a"' in asyncio.run(asyncio.wait_for(first(), 30))


def test_readers_that_never_read_hold_up_nobody(data: Path) -> None:
    site = Site(data)
    with site.serving() as client, ExitStack() as stack:
        for _ in range(50):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", site.port)))
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            silent.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with client.stream("GET", "/api/stream") as stream:
            lines = stream.iter_lines()
            next(lines)
            for number in range(2_000):
                site.live.tell("score", {"number": number, "filling": "x" * 200})
            assert any('"number": 1999' in line for line in lines)
        began = time.monotonic()
        assert client.get("/api/state").status_code == 200
        assert time.monotonic() - began < 5  # it answers at all; nothing is measured here


def test_what_a_slow_reader_missed_is_counted() -> None:
    live = Live(kept=10)
    for number in range(25):
        live.tell("score", {"number": number})
    messages, newest, lost = live.since(0)
    assert (len(messages), newest, lost) == (10, 25, 15)
    assert '"number": 24' in messages[-1]
    assert live.since(25) == ([], 25, 0)


def test_pictures_in_a_list_are_small(data: Path) -> None:
    with Site(data).serving() as client:
        (event,) = client.get("/api/events").json()
        url = f"/api/events/{event['id']}/thumbnail.jpg"
        assert client.get(url).status_code == 404
        picture = media_path(data / "media", event["id"], "snapshot")
        noise = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
        picture.write_bytes(jpeg(noise))
        assert len(client.get(url).content) < 20_000 < picture.stat().st_size
        for content in (b"", b"not a picture"):
            picture.write_bytes(content)
            assert client.get(url).status_code == 404


def test_a_damaged_database_is_said(data: Path) -> None:
    for part in data.glob("events.db*"):
        part.write_bytes(part.read_bytes()[:4_096] + b"\x7f" * 200_000)
    with Site(data).serving() as client:
        for url in ("/api/events", "/api/scores?camera=door", "/api/what-if?camera=door&threshold=0.5"):
            answer = client.get(url)
            assert (answer.status_code, "the database does not respond" in answer.text) == (503, True), url
        assert client.get("/api/state").status_code == 200


def test_no_picture_and_no_window_are_not_found(data: Path) -> None:
    site = Site(data)
    site.picture = None
    with Store.open(data) as store:
        bare = Event.begun("door", time.time(), (0.8, 0.6), MODEL)
        store.events.add(bare.new(Moment(0.9, 0.9, 1, 1.0)), 1.0, awaits_files=False)
        (store.media / f"{bare.id}.npz").write_bytes(b"damaged")
    with site.serving() as client:
        assert client.get("/api/cameras/door/picture.jpg").status_code == 404
        assert client.get(f"/api/events/{bare.id}").json()["clips"] == []
        assert client.get(f"/api/events/{bare.id}/strip.jpg").status_code == 404
