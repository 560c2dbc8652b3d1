"""What the page asks for, and what is refused: ids, ranges, other sites, readers that do not read."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from stream.alarm.drawing import drawing_of
from stream.alarm.event import Event, Moment
from stream.alarm.requests import (
    Acknowledge,
    GiveVerdict,
    Note,
    RunTest,
    SetEnabled,
    SetMode,
    SetSnooze,
    SetThreshold,
    SetView,
)
from stream.archive.explanation import jpeg
from stream.archive.media import media_path
from stream.archive.store import Store
from stream.base.people import ANYBODY, People, Person
from stream.camera.live_picture import Shown
from stream.web import page as page_package
from stream.web.page import live as live_routes
from stream.web.page.live import WATCHERS, EventStream, LiveRoutes
from stream.web.page_stream import Live
from tests.servers import processes
from tests.stream.web.sites import LINKS, MODEL, Site


@pytest.mark.slow
def test_what_it_shows(asked: httpx.Client) -> None:
    page = asked.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    static = Path(page_package.__file__).parent / "static"
    modules = [file.name for file in static.glob("*.js")]
    for name in (*modules, "style.css"):
        found = asked.get(f"/page/{name}")
        assert found.status_code == 200
        assert found.headers["content-type"] == f"text/{'css' if name == 'style.css' else 'javascript'}; charset=utf-8"
        for imported in re.findall(r'^import .*"/page/(.+)";$', found.text, re.MULTILINE):
            assert imported in modules
    assert "app.js" in modules
    assert asked.get("/page/login.html").status_code == 404
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


def test_the_button_of_a_notification_answers_one_event_without_a_login(data: Path) -> None:
    anna = Person("anna", operator=True, token="anna-anna-anna-anna")
    site = Site(data, People((anna,)))
    with Store.read_only(data) as store:
        (listed,) = store.events.since(0.0)
    event = listed.message.id
    path = str(LINKS.answer(event, "notify-1")).removeprefix(str(LINKS.page))
    other = str(LINKS.answer("1000.00-aaaaaa", "notify-1")).removeprefix(str(LINKS.page))
    with site.serving() as client:
        assert client.post(path).json() == {"id": event, "by": "notify-1"}
        (given,) = site.posted
        assert given == Acknowledge("door", event, "notify-1")
        assert (given.origin.who, given.origin.via) == ("notify-1", "notification")
        assert client.post(other).status_code == 404  # no such event
        for wrong in (path[:-1] + "g", path[:-4] + "0000", path.replace("notify-1", "notify-2"), path + "/"):
            assert client.post(wrong).status_code == 401, wrong
        for method in ("GET", "PUT", "HEAD"):
            assert client.request(method, path).status_code == 401
        assert client.post(path, headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get(f"/api/events/{event}").status_code == 401
        assert len(site.posted) == 1


def test_the_heat_map_is_drawn_over_the_image(data: Path) -> None:
    with Store.open(data) as store:
        (listed,) = store.events.since(0.0)
        event = listed.message.id
        media_path(store.media, event, "snapshot").write_bytes(jpeg(np.full((100, 200, 3), 90, np.uint8)))
        warm = {"region": [0.5, 0.0, 0.5, 1.0], "rows": [[0, 0], [255, 255]]}
        media_path(store.media, event, "heat").write_text(json.dumps(warm))
    with Site(data).serving() as client:
        answer = client.get(f"/api/events/{event}/heat.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        found = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert found is not None
        assert found.shape == (100, 200, 3)
        assert np.ptp(found[:, :90].astype(int)) < 10  # outside of the region
        below = found[90, 150].astype(int)
        assert below[2] > 180 > 60 > below[0]  # red
        assert abs(int(found[5, 150, 2]) - 90) < 20


def test_the_modes_are_changed_by_the_first_of_two_operators(data: Path) -> None:
    site = Site(data)
    with site.serving() as client:
        shown = client.get("/api/modes").json()["modes"]
        wanted = {"home": {"door": False}, "off": {"door": False}}
        assert client.post("/api/modes", json={"modes": wanted, "before": shown}).status_code == 200
        late = client.post("/api/modes", json={"modes": shown, "before": shown})
        assert (late.status_code, "somebody else" in late.json()["detail"]) == (409, True)
        for body in (
            {"modes": wanted},
            {"modes": {"home": {"door": "no"}}, "before": wanted},
            {"modes": 1, "before": 2},
        ):
            assert client.post("/api/modes", json=body).status_code == 422
    assert site.modes.watched == wanted
    assert site.posted == [Note("modes", "home, off")]


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
    loud = [at for at, score in curve if score > 0.8]  # each of the two bursts falls into one or two points
    assert sum(at < now - 20_000 for at in loud) in (1, 2)
    assert sum(at > now - 20_000 for at in loud) in (1, 2)


@pytest.mark.slow
def test_what_it_does(data: Path) -> None:
    site = Site(data)
    with site.serving() as client:
        (event,) = client.get("/api/events").json()
        assert client.post(f"/api/events/{event['id']}/verdict", json={"verdict": "true"}).status_code == 202
        assert client.post(f"/api/events/{event['id']}/ack", json={"by": "anna"}).status_code == 202
        assert client.post(f"/api/events/{event['id']}/ack", json={}).status_code == 202
        refused = client.post(f"/api/events/{event['id']}/ack", json={"by": "a\nb"})
        assert (refused.status_code, "must be 1 to 64 printable characters" in refused.json()["detail"]) == (422, True)
        assert client.post("/api/cameras/door/threshold", json={"threshold": 0.7}).status_code == 202
        assert client.post("/api/cameras/door/enabled", json={"enabled": False}).status_code == 202
        assert client.post("/api/cameras/door/snooze", json={"minutes": 60}).status_code == 202
        assert client.post("/api/cameras/door/snooze", json={"minutes": 5_256_000}).status_code == 422
        assert client.post("/api/mode", json={"mode": "away"}).status_code == 202
        refused = client.post("/api/mode", json={"mode": "garden"})
        assert (refused.status_code, refused.json()["detail"]) == (
            422,
            "no such mode: 'garden'; must be home, away, auto",
        )
        assert client.post("/api/cameras/door/test", json={}).status_code == 202
        assert site.posted == [
            GiveVerdict("door", event["id"], "true"), Acknowledge("door", event["id"], "anna"),
            Acknowledge("door", event["id"], "page"), SetThreshold("door", 0.7), SetEnabled("door", False),
            SetSnooze("door", 60),
            SetMode("away"),
            RunTest("door"),
        ]  # fmt: skip
        site.posted.clear()
        view = client.get("/api/cameras/door/view").json()
        assert view == {"view": {"region": None, "masks": [], "only_here": []}, "drawn": False}
        square = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]]
        drawn = {"region": None, "masks": [square], "only_here": []}
        body = {"view": drawn, "before": view["view"]}
        assert client.post("/api/cameras/door/view", json=body).status_code == 202
        assert client.post("/api/cameras/door/view", json={"view": None}).status_code == 202
        assert site.posted == [SetView("door", drawing_of(drawn)), SetView("door", None)]
        site.view["view"] = {**drawn, "masks": []}
        site.view["view"]["region"] = [0, 0, 0.5, 0.5]  # by another operator
        refused = client.post("/api/cameras/door/view", json=body)
        assert (refused.status_code, "somebody else" in refused.json()["detail"]) == (409, True)
        crossed = {"masks": [[square[0], square[2], square[1], square[3]]]}
        refused = client.post("/api/cameras/door/view", json={"view": crossed})
        assert (refused.status_code, "masks[0]: crosses itself" in refused.json()["detail"]) == (422, True)
        done = client.post("/api/cameras/door/budget", json={"per_day": 5})
        assert done.status_code == 202
    with Store.read_only(data) as store:
        assert float(store.settings.all()["door"]["threshold"]) == done.json()["proposal"]["threshold"]


def test_cameras_are_searched_and_added(data: Path) -> None:
    site = Site(data)
    with site.serving() as client:
        wanted = {"hosts": ["10.0.0.9"], "user": "viewer", "password": "geheim"}
        assert client.post("/api/search", json=wanted).status_code == 202
        again = client.post("/api/search", json=wanted)
        assert (again.status_code, again.json()["detail"]) == (409, "a search is running already")
        assert site.search.asked == [(["10.0.0.9"], "viewer", "geheim")]
        assert client.get("/api/search").json()["cameras"][0]["name"] == "Yard"
        assert client.get("/api/search/0/picture.jpg").content == b"jpeg"
        assert client.get("/api/search/1/picture.jpg").status_code == 404
        assert client.post("/api/search/add", json={"names": {"0": "Yard"}}).json() == {"added": ["Yard"]}
        for url, body in (
            ("search", {**wanted, "password": "geheim" * 100}),
            ("search", {**wanted, "hosts": ["h"] * 65}),
            ("search", {**wanted, "write": "/etc/passwd"}),
            ("search/add", {"names": {}}),
            ("search/add", {"names": {"x": "Yard"}}),
        ):
            refused = client.post(f"/api/{url}", json=body)
            assert refused.status_code == 422
            assert "geheim" not in refused.text


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
        answer = await routes.stream(ANYBODY)
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
        assert client.get("/api/cameras/door/picture.jpg").status_code == 204  # a browser calls 404 an error
        assert client.get(f"/api/events/{bare.id}").json()["clips"] == []
        assert client.get(f"/api/events/{bare.id}/strip.jpg").status_code == 404


def test_the_picture_of_a_card_is_of_now_or_of_a_camera_that_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "_AWAITED", 0.2)
    site, asked = Site(tmp_path), 0
    old = Shown(2, b"\xff\xd8an hour ago", time.monotonic() - 3_600)

    def look(_camera: str, until: float, still: bool) -> Shown | None:
        nonlocal asked
        asked += 1
        assert still
        assert 4 < until - time.monotonic() < 6
        return Shown(4, b"\xff\xd8now", time.monotonic()) if asked == 3 else old

    site.look = look
    with site.serving() as client:
        assert client.get("/api/cameras/door/picture.jpg").content == b"\xff\xd8now"
        assert client.get("/api/cameras/door/picture.jpg").content == old.jpeg
        assert asked > 4


@pytest.mark.slow
def test_a_live_image_is_taken_while_somebody_looks_and_watchers_are_counted(tmp_path: Path) -> None:
    site, until = Site(tmp_path), []
    newest = Shown(4, b"\xff\xd8first", 0.0)

    def look(camera: str, looked_until: float, still: bool) -> Shown | None:
        assert not still
        until.append(looked_until)
        old = Shown(2, b"\xff\xd8an hour ago", 0.0)
        return (old if len(until) == 1 else newest) if camera == "door" else None

    site.look = look
    with site.serving() as client, ExitStack() as watching:
        assert client.get("/api/cameras/roof/live.mjpeg").status_code == 404
        url = "/api/cameras/door/live.mjpeg"
        first = watching.enter_context(client.stream("GET", url))
        assert first.headers["content-type"] == "multipart/x-mixed-replace; boundary=mgfn-image"
        parts = first.iter_bytes()
        got = b""
        while b"first\r\n--mgfn-image\r\n" not in got:
            got += next(parts)
        newest = Shown(6, b"\xff\xd8second", 0.0)
        while b"second" not in got:
            got += next(parts)
        assert got.count(b"Content-Type: image/jpeg") == 2  # each image once
        assert b"an hour ago" not in got
        assert all(0 < end - time.monotonic() < 3 for end in until[-1:])
        others = [watching.enter_context(client.stream("GET", url)).iter_bytes() for _ in range(WATCHERS - 1)]
        assert all(next(other) for other in others)
        assert site.live.watchers == WATCHERS
        assert client.get(url).status_code == 503
        watching.close()
        processes.until(lambda: site.live.watchers == 0, 10, "the end of the streams")
        assert client.get("/api/state").status_code == 200


def test_whoever_watches_an_offline_camera_gives_the_place_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_routes, "_NEW_WITHIN", 0.1)
    site = Site(tmp_path)
    site.look = lambda _camera, _until, _still: Shown(2, b"\xff\xd8an hour ago", 0.0)
    with site.serving() as client:
        assert client.get("/api/cameras/door/live.mjpeg").content == b"--mgfn-image\r\n"
        assert site.live.watchers == 0
