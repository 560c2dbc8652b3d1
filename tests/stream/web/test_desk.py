"""The page as a desk, in a real Chromium: many cameras and events, keyboard, roles, languages, accessibility."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest

from stream import desk as desk_package
from stream.alarm.event import Event, Moment
from stream.alarm.requests import Acknowledge, GiveVerdict
from stream.archive.explanation import jpeg
from stream.archive.media import media_path
from stream.archive.store import Store
from stream.base.errors import Reason
from stream.base.people import People, Person
from stream.service.self_test import Stage
from stream.watch.presence import CORRUPT, DAMAGED, ENGINE_CHANGED, OVERLOADED, UNSCORABLE
from stream.web import page as page_package
from stream.web.server import NOBODY
from tests.servers.processes import until
from tests.stream.web.sites import MODEL, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = Path(page_package.__file__).parent / "static"
CAMERAS = tuple(f"camera-{number:02}-with-a-name-as-long-as-names-may-be-in-this-program"[:64] for number in range(64))
EVENTS = 10_000
NEW_YORK = ZoneInfo("America/New_York")
LONG_TASKS = """() => { window.long = [];
    new PerformanceObserver(list => window.long.push(...list.getEntries().map(entry => entry.duration)))
        .observe({ type: "longtask" }) }"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def test_every_word_is_in_the_table_in_both_languages() -> None:
    table = (STATIC / "words.js").read_text()
    entries = re.findall(r'^  (\w+): \["(.*)", "(.*)"\],$', table, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^  \w+: \[", table, re.MULTILINE)) == len({key for key, _, _ in entries})
    for key, english, german in entries:
        assert english, key
        assert german, key
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", german)), key
    known = {key for key, _, _ in entries}
    html = (STATIC / "index.html").read_text()
    used = set(re.findall(r'data-t(?:-label|-hint)?="(\w+)"', html))
    for module in STATIC.glob("*.js"):
        used |= set(re.findall(r'\bt\("(\w+)"', module.read_text()))
        used |= {key for pair in re.findall(r'\bt\([^()"]*\? "(\w+)" : "(\w+)"', module.read_text()) for key in pair}
    assert used <= known, used - known
    desk = Path(desk_package.__file__).parent / "static"
    everything = html + "".join(file.read_text() for file in desk.iterdir())
    everything += "".join(module.read_text() for module in STATIC.glob("*.js"))
    told: tuple[str, ...] = ("quiet_", "camera_added", "cameras_searched", "person_added")  # named by the program
    told += ("problem_", "self_test_", "who_", "by_", "value_", "mode_name_")
    for why in (OVERLOADED, UNSCORABLE, DAMAGED, ENGINE_CHANGED, CORRUPT, *Reason):
        assert "problem_" + re.sub(r"\W+", "_", why.lower()) in known, why
    for stage in Stage:
        assert "self_test_" + re.sub(r"\W+", "_", stage.lower()) in known, stage
    assert not {key for key in known if len(re.findall(rf"\b{key}\b", everything)) < 2 and not key.startswith(told)}


@pytest.mark.slow
def test_it_is_small(day: Path) -> None:
    total = 0
    with Site(day).serving() as client:
        for name in ("index.html", *(file.name for file in STATIC.iterdir() if file.suffix in (".js", ".css"))):
            with client.stream("GET", f"/page/{name}", headers={"Accept-Encoding": "gzip"}) as answer:
                raw = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
            assert gzip.decompress(raw) == client.get(f"/page/{name}", headers={"Accept-Encoding": ""}).content
            total += len(raw)
    print(f"{total} bytes compressed")
    assert total < 60_000


def add_event(store: Store, camera: str, start: float, *, image: bytes | None = None) -> str:
    event = Event.begun(camera, start, (0.8, 0.6), MODEL)
    store.events.add(event.new(Moment(0.9, 0.9, 32, start)), start, awaits_files=False)
    store.events.add(event.end(None, start + 5, "score"), start, awaits_files=False)
    if image is not None:
        media_path(store.media, event.id, "snapshot").write_bytes(image)
    return event.id


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The data of 64 cameras with 10,000 events; 9,990 were judged."""
    folder, now = tmp_path_factory.mktemp("busy"), time.time()
    with Store.open(folder) as store, store.transaction():
        for number in range(EVENTS):
            camera = CAMERAS[number % 64]
            event = add_event(store, camera, now - 60 * number - 60)
            if number >= 10:
                store.events.judge(camera, event, "false_alarm" if number % 2 else "true")
    return folder, now


@contextmanager
def desk(folder: Path, people: People = NOBODY, cameras: tuple[str, ...] = CAMERAS) -> Iterator[tuple[Site, str]]:
    site = Site(folder, people)
    site.cameras = cameras
    site.whole_state()
    with site.serving():
        yield site, f"http://127.0.0.1:{site.port}/"


def opened(browser: Browser, address: str, *, width: int = 1280, language: str = "en-GB") -> tuple[Page, list[str]]:
    page = browser.new_context(locale=language, viewport={"width": width, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    return page, complaints


@pytest.mark.slow
@pytest.mark.alone  # other work on the machine makes tasks long
def test_64_cameras_and_10_000_events_stay_fluid(busy: tuple[Path, float], browser: Browser) -> None:
    folder, _ = busy
    with desk(folder) as (site, address):
        stop = threading.Event()

        def tell() -> None:
            while not stop.wait(0.64):
                for camera in CAMERAS:
                    site.live.tell("score", {"camera": camera, "score": 0.3, "threshold": 0.8, "time": time.time()})

        teller = threading.Thread(target=tell)
        teller.start()
        try:
            page, complaints = opened(browser, address)
            page.locator("#alarm-list li[data-id]").first.wait_for()
            until(lambda: page.evaluate(PAINTED), what="the first paint")
            painted = page.evaluate(PAINTED)
            assert page.locator("#alarm-list li[data-id]").count() == 10
            assert page.locator("#waiting").inner_text() == "10"
            page.evaluate(LONG_TASKS)
            worst = {}
            for view, rows in (("cameras", ".card"), ("past", "#event-list li[data-id]")):
                page.evaluate("view => { location.hash = view }", view)
                page.locator(rows).first.wait_for()
                page.evaluate("new Promise(done => setTimeout(() => { window.long.length = 0; done() }, 500))")
                for _ in range(60):
                    page.mouse.wheel(0, 900)
                    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                worst[view] = max(page.evaluate("window.long"), default=0)
            shown = page.locator("#event-list li[data-id]").count()
            print(f"first paint {painted:.0f} ms; longest task {worst}; {shown} events were scrolled through")
            assert shown > 200
            assert painted < 1_000
            assert max(worst.values()) < 100
            assert complaints == []
            page.context.close()
        finally:
            stop.set()
            teller.join()


@pytest.mark.slow
def test_from_alarm_to_verdict_by_keyboard_and_the_filters(busy: tuple[Path, float], browser: Browser) -> None:
    folder, now = busy
    with desk(folder) as (site, address):
        page, complaints = opened(browser, address)
        ids = page.locator("#alarm-list li[data-id]").evaluate_all("rows => rows.map(row => row.dataset.id)")
        until(lambda: page.locator("#alarm-list li[data-id]").count() == 10, what="the list")
        ids = page.locator("#alarm-list li[data-id]").evaluate_all("rows => rows.map(row => row.dataset.id)")
        for key in "jjk":
            page.keyboard.press(key)
        assert page.evaluate("document.activeElement.closest('li').dataset.id") == ids[0]
        page.keyboard.press("f")
        until(lambda: page.locator("#alarm-list li[data-id]").count() == 9, what="the judged alarm gone")
        assert page.evaluate("document.activeElement.closest('li').dataset.id") == ids[1]  # the next one
        page.keyboard.press("Enter")
        page.locator("dialog[open] h2").wait_for()
        page.keyboard.press("a")
        page.keyboard.press("t")
        page.locator("dialog[open] [data-verdict=true].chosen").wait_for()
        page.keyboard.press("Escape")
        until(lambda: page.locator("#alarm-list li[data-id]").count() == 8, what="the second alarm gone")
        said = [command for command in site.posted if isinstance(command, GiveVerdict | Acknowledge)]
        assert said[0] == GiveVerdict(CAMERAS[0], ids[0], "false_alarm")
        second = [Acknowledge(CAMERAS[1], ids[1], "page"), GiveVerdict(CAMERAS[1], ids[1], "true")]
        assert said[1:] in (second, second[::-1])  # two requests that are under way at the same time
        assert page.title() == "(8) mgfn-stream"

        # the other page hears of it, and an address holds a view with its filters
        day = datetime.fromtimestamp(now - 86_400, NEW_YORK).date().isoformat()
        other, _ = opened(browser, f"{address}#past?camera={CAMERAS[5]}&verdict=false_alarm&day={day}")
        until(lambda: other.locator("#event-list li[data-id]").count() > 10, what="the filtered list")
        begin = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=NEW_YORK).timestamp()
        expected = [
            number for number in range(5, EVENTS, 64)
            if number % 2 and begin <= now - 60 * number - 60 < begin + 86_400 and number >= 10
        ]  # fmt: skip
        assert other.locator("#event-list li[data-id]").count() == len(expected)
        first = datetime.fromtimestamp(now - 60 * expected[0] - 60, NEW_YORK)
        assert f"{first:%H:%M:%S}" in other.locator("#event-list li").first.inner_text()  # the site's time zone
        other.locator("#events-clear").click()
        until(lambda: other.url.endswith("#past"), what="the view without filters")
        other.locator("nav a", has_text="Alarms").click()
        assert other.locator("#alarms").is_visible()
        assert other.locator("#past").is_hidden()
        other.goto(f"{address}#event/{ids[2]}")
        other.locator("dialog[open] h2").wait_for()
        assert complaints == []
        page.context.close()
        other.context.close()


@pytest.mark.slow
def test_a_viewer_sees_no_buttons_that_change_and_german_is_spoken(day: Path, browser: Browser) -> None:
    guard = Person("guard", operator=False, cameras=frozenset({"door"}), token="guard-guard-guard")
    with Store.read_only(day) as store:
        (listed,) = store.events.since(0.0)
    anna = Person("anna", operator=True, token="anna-anna-anna-anna")
    with desk(day, People((guard, anna)), ("door", "yard")) as (site, address):
        page, _ = opened(browser, f"{address}#event/{listed.message.id}", language="de-DE", width=360)
        for token in ("wrong-wrong-wrong", "guard-guard-guard"):
            page.locator("#token").fill(token)
            page.keyboard.press("Enter")
            page.locator("p[role=alert]:not(:empty), #alarm-list li[data-id]").first.wait_for()
        page.locator("dialog[open] h2").wait_for()  # the event of the address that was opened before the login
        page.keyboard.press("Escape")
        assert page.locator("header").bounding_box()["height"] < 64  # type: ignore[index]
        page.locator("#menu").click()
        page.get_by_text("jetzt: zu Hause").wait_for()
        page.locator("#menu").click()
        assert page.locator("h2:visible").first.inner_text() == "Offene Alarme"
        assert page.locator("html").get_attribute("lang") == "de"
        page.locator("nav a[href='#cameras']").click()
        page.locator(".card").wait_for()
        assert page.locator(".card").count() == 1
        for view in ("alarms", "cameras", "past", "tuning", "health"):
            page.evaluate("view => { location.hash = view }", view)
            until(lambda view=view: page.locator(f"#{view}").is_visible(), what=view)  # type: ignore[misc]
            assert page.locator(".operators:visible").count() == 0, view
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
        page.evaluate("location.hash = 'alarms'")
        page.keyboard.press("j")
        page.keyboard.press("f")
        assert site.posted == []
        page.locator("#menu").click()
        page.locator("#log-out").click()
        page.locator("#token").fill("anna-anna-anna-anna")
        page.keyboard.press("Enter")
        page.locator(".answers").wait_for()
        page.locator("#menu").click()
        page.locator("#language").click()
        page.get_by_text("Unanswered alarms").wait_for()
        page.locator(".answers button").first.click()
        until(lambda: site.posted, what="the answer")
        assert [(c.by, c.origin.who) for c in site.posted if isinstance(c, Acknowledge)] == [("anna", "anna")]
        page.context.close()


@pytest.mark.slow
def test_the_second_operator_is_told(day: Path, browser: Browser) -> None:
    with desk(day, cameras=("door",)) as (site, address):
        page, _ = opened(browser, f"{address}#tuning")
        until(lambda: page.locator("#what-value").inner_text() == "0.80", what="the threshold in force")
        page.locator("#what-threshold").fill("0.5")
        site.camera["threshold"] = 0.6
        site.changes = {"door": {"threshold": {"at": 9.5, "who": "anna", "via": "page", "value": "0.6"}}}
        page.evaluate("new Promise(done => setTimeout(done, 2500))")  # the state is told every two seconds
        assert page.locator("#what-value").inner_text() == "0.50"
        page.locator("#what-apply").click()
        page.get_by_text("anna has set it to 0.6 meanwhile").wait_for()
        until(lambda: page.locator("#what-value").inner_text() == "0.60", what="what is in force")
        assert site.posted == []
        page.locator("#what-threshold").fill("0.5")
        page.locator("#what-apply").click()
        until(lambda: site.posted, what="the threshold")
        page.context.close()


@pytest.mark.slow
def test_axe_finds_no_serious_fault(busy: tuple[Path, float], browser: Browser) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe: pip install axe-playwright-python"
    )
    folder, _ = busy
    with Store.open(folder) as store:
        for event in store.events.since(time.time() - 3_600)[:3]:
            media_path(store.media, event.message.id, "snapshot").write_bytes(jpeg(Site(folder).picture))  # type: ignore[arg-type]
    with desk(folder, cameras=CAMERAS[:4]) as (_, address):
        for scheme in ("light", "dark"):
            page, _ = opened(browser, address)
            page.emulate_media(color_scheme=scheme)
            page.locator("#alarm-list li[data-id]").first.wait_for()
            for view in ("alarms", "cameras", "past", "tuning", "health", "event"):
                if view == "event":
                    page.evaluate("location.hash = 'alarms'")
                    page.locator("#alarm-list .event").first.click()
                    page.locator("dialog[open] h2").wait_for()
                else:
                    page.evaluate("view => { location.hash = view }", view)
                    page.locator(f"#{view} h2").first.wait_for()
                assert serious_faults(axe, page) == [], (scheme, view)
            page.context.close()


@pytest.mark.slow
def test_long_names_fit_a_phone(busy: tuple[Path, float], browser: Browser) -> None:
    with desk(busy[0], cameras=CAMERAS[:4]) as (site, address):
        site.modes.watched = {name: dict.fromkeys(CAMERAS[:4], True) for name in ("home", "away", "night", "off")}
        page, complaints = opened(browser, address, width=360, language="de-DE")
        page.locator("#alarm-list li[data-id]").first.wait_for()
        for view in ("alarms", "cameras", "past", "tuning", "health"):
            page.evaluate("view => { location.hash = view }", view)
            until(lambda view=view: page.locator(f"#{view}").is_visible(), what=view)  # type: ignore[misc]
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
        assert page.locator("#health th").first.inner_text() == "Kamera"
        page.evaluate("location.hash = 'cameras'")
        for button in ("#set-modes", "#find-cameras"):
            page.locator(button).click()
            page.locator("dialog[open] h2").wait_for()
            assert page.evaluate("document.querySelector('dialog[open]').scrollWidth") <= 360, button
            page.keyboard.press("Escape")
        assert complaints == []
        page.context.close()


def serious_faults(axe: Any, page: Page) -> list[tuple[str, list[Any]]]:
    return [
        (fault["id"], [node["target"] for node in fault["nodes"]][:3])
        for fault in axe.Axe().run(page).response["violations"] if fault["impact"] in ("serious", "critical")
    ]  # fmt: skip


def draw_one_of_each(page: Page) -> None:
    """Open the dialog in which masks are drawn, and drag a shape of each kind."""
    page.get_by_role("button", name="Draw", exact=True).click()
    until(lambda: page.evaluate("document.querySelector('#draw img')?.naturalWidth"), what="the whole picture")
    box = page.locator("#draw[open] .stage").bounding_box()
    assert box is not None
    for step, tool in enumerate(("Mask", "Only here", "Region")):
        page.get_by_role("button", name=tool, exact=True).click()
        x, y = box["x"] + 20 + 150 * step, box["y"] + 20
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 90, y + 60, steps=3)
        page.mouse.up()
    assert page.locator("#draw .corner").count() == 10
    page.locator("#draw summary").click()


@pytest.mark.slow
def test_axe_finds_no_serious_fault_in_login_and_dialogs(tmp_path: Path, browser: Browser) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe: pip install axe-playwright-python"
    )
    anna = Person("anna", operator=True, token="anna-anna-anna-anna")
    with Store.open(tmp_path) as store, store.transaction():
        event = Event.begun("door", time.time() - 60, (0.8, 0.6), MODEL)
        store.events.add(event.new(Moment(0.9, 0.9, 32, 1.0)), 1.0, awaits_files=True)
        store.events.add(event.media(snapshot=True, clip=False), 1.0, awaits_files=False)
        media_path(store.media, event.id, "snapshot").write_bytes(jpeg(Site(tmp_path).picture))  # type: ignore[arg-type]
        warm = {"region": [0.25, 0.0, 0.5, 1.0], "rows": [[0] * 14] * 7 + [[255] * 14] * 7}
        media_path(store.media, event.id, "heat").write_text(json.dumps(warm))
    with desk(tmp_path, People((anna,)), ("door",)) as (site, address):
        site.whole = np.full((360, 640, 3), 120, np.uint8)
        page, _ = opened(browser, address)
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for token in ("wrong-wrong-wrong", "anna-anna-anna-anna"):
            for scheme in schemes:
                page.emulate_media(color_scheme=scheme)
                assert serious_faults(axe, page) == [], ("login", token, scheme)
            page.locator("#token").fill(token)
            page.keyboard.press("Enter")
            page.locator("p[role=alert]:not(:empty), #alarm-list li[data-id]").first.wait_for()
        page.evaluate("location.hash = 'cameras'")
        page.get_by_role("button", name="Find cameras").click()
        page.locator("#find[open] #find-found li").wait_for()
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            assert serious_faults(axe, page) == [], ("find", scheme)
        page.keyboard.press("Escape")
        draw_one_of_each(page)
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            assert serious_faults(axe, page) == [], ("draw", scheme)
        page.keyboard.press("Escape")
        page.locator("#set-modes").click()
        page.get_by_role("checkbox", name="door, home").wait_for()
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            assert serious_faults(axe, page) == [], ("modes", scheme)
        page.keyboard.press("Escape")
        page.evaluate("location.hash = 'alarms'")
        page.locator("#alarm-list .event").first.click()
        page.get_by_role("button", name="Where").click()
        heat = page.locator("dialog canvas.heat")
        heat.wait_for()
        assert heat.evaluate("map => [map.style.left, map.style.width, map.width]") == ["25%", "50%", 14]
        assert serious_faults(axe, page) == [], "heat map"
        page.get_by_role("button", name="Where").click()
        assert heat.is_hidden()
        page.context.close()


COUNT_TONES = """window.tones = 0; const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...given) { window.tones += 1; return start.apply(this, given); }; 0"""


@pytest.mark.slow
def test_an_alarm_rings_if_sound_is_on_and_a_notice_is_only_listed(day: Path, browser: Browser) -> None:
    with desk(day, cameras=("door",)) as (site, address):
        page, complaints = opened(browser, f"{address}#past")
        page.evaluate(COUNT_TONES)
        page.locator("#event-list li[data-id]").wait_for()

        def begin(severity: Literal["alarm", "notice"]) -> str:
            event = Event.begun("door", time.time(), (0.8, 0.6), MODEL, severity=severity)
            site.live.tell("event", event.new(Moment(0.9, 0.9, 32, time.time())).as_json())
            page.locator(f"#event-list li[data-id='{event.id}']").wait_for()
            return str(page.evaluate("[tones, document.querySelector('#alert').matches(':popover-open')].join()"))

        assert begin("alarm") == "0,true"  # sound is off at first
        page.locator("#alert-close").click()
        page.locator("#sound").click()
        assert begin("notice") == "0,false"
        assert begin("alarm") == "1,true"
        assert page.locator("#sound").get_attribute("aria-pressed") == "true"
        assert complaints == []
        page.context.close()


@pytest.mark.slow
def test_the_page_can_be_installed(day: Path, browser: Browser) -> None:
    with desk(day, cameras=("door",)) as (_, address):
        page, complaints = opened(browser, address)
        manifest = page.context.new_cdp_session(page).send("Page.getAppManifest")
        assert manifest["errors"] == []
        assert httpx.get(f"{address}page/icon.svg").headers["content-type"] == "image/svg+xml"
        assert complaints == []
        page.context.close()
