"""The page in a real Chromium, on a real service that watches a real RTSP camera."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from tests.built_once import recording
from tests.servers.processes import free_port, until
from tests.servers.rtsp import TestCamera
from tests.servers.service import Running, running

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, ConsoleMessage, Locator, Page, Route

pytestmark = pytest.mark.slow

PATIENCE = 60_000  # ms


def holds(page: Page, expression: str, argument: object = None) -> None:
    """Wait until a JavaScript expression is true; Playwright's own way is `eval`, which the page's policy forbids."""
    until(lambda: page.evaluate(expression, argument), PATIENCE / 1000, expression)


@dataclass
class Watched:
    """A service with a page, and its data folder."""

    service: Running
    address: str
    data: Path
    complaints: list[str] = field(default_factory=list)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url')}")

    def open(self, browser: Browser, width: int = 1280, height: int = 900, view: str = "cameras") -> Page:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{self.address}#{view}")
        return page

    def go(self, page: Page, view: str) -> None:
        page.locator(f"nav a[href='#{view}']").click()
        page.locator(f"#{view}").wait_for()

    def asked(self, what: str) -> Any:
        return httpx.get(f"{self.address}api/{what}").json()

    def send_test(self, page: Page) -> Locator:
        """Ask for a test event on the page, once none is open; its row in the list."""

        def tests() -> dict[str, float | None]:
            return {event["id"]: event["end_time"] for event in self.asked("events") if event["test"]}

        until(lambda: None not in tests().values(), what="the end of the last test event")
        before = tests().keys()
        self.go(page, "cameras")
        page.get_by_role("button", name="Test", exact=True).click()
        until(lambda: tests().keys() - before, what="a test event")
        (fresh,) = tests().keys() - before
        self.go(page, "past")
        return page.locator(f"#event-list li[data-id='{fresh}']")


@contextmanager
def watched(folder: Path, bundle: Path, *arguments: object) -> Iterator[Watched]:
    camera, port = TestCamera(folder, recording()), free_port()
    own = ["--rtsp", f"door={camera.url}", "--bundle", bundle, "--http", f"127.0.0.1:{port}", "--threshold", "1"]
    with camera.running(), running(folder, *own, *arguments) as service:
        until(lambda: service.said("web page"), 60, "the page's address")
        yield Watched(service, f"http://127.0.0.1:{port}/", folder / "data")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("page")
    began = time.time() - 2 * 86_400
    with Store.open(folder / "data") as store, store.transaction():  # two days in which nothing but bursts happened
        for first in range(0, 172_000, 100):
            rows = [
                LoggedScore(began + i, began + i + 1, 0.9 if i % 20_000 < 5 else 0.1, 32)
                for i in range(first, first + 100)
            ]
            store.scores.add("door", pack(rows))
    with watched(folder, tiny_bundle) as found:
        yield found


def test_an_alarm_is_seen_questioned_and_judged_without_a_reload(site: Watched, browser: Browser) -> None:
    page = site.open(browser)
    page.locator(".card").wait_for()
    holds(page, "document.querySelector('.card img').naturalWidth === 320")
    line = page.locator("canvas.line")
    holds(page, "/threshold 1.00/.test(document.querySelector('.card').textContent)")
    before = line.evaluate("canvas => canvas.toDataURL()")
    holds(page, "before => document.querySelector('canvas.line').toDataURL() !== before", before)

    # the operator moves the slider, sees what would have been, and sets the threshold
    site.go(page, "tuning")
    slider = page.locator("#what-threshold")
    slider.fill("0.7")
    holds(page, "/^9 alarms in/.test(document.getElementById('what-answer').textContent)")
    slider.fill("0.95")
    holds(page, "/^0 alarms in/.test(document.getElementById('what-answer').textContent)")
    site.go(page, "cameras")
    page.get_by_role("button", name="Snooze 1 h").click()
    snoozed = page.locator(".card .snoozed")
    snoozed.wait_for()
    assert snoozed.evaluate("line => getComputedStyle(line).color") == "rgb(179, 38, 30)"  # red
    page.get_by_role("button", name="End snooze").click()
    snoozed.wait_for(state="hidden")
    site.go(page, "tuning")
    slider.fill("0")
    page.locator("#what-apply").click()
    page.locator("#alert-show:visible").wait_for()
    page.wait_for_timeout(3_000)  # something for the clip to hold
    slider.fill("1")
    page.locator("#what-apply").click()
    site.go(page, "alarms")
    entry = page.locator("#alarm-list li[data-id]").first
    entry.wait_for()
    event_id = entry.get_attribute("data-id")
    holds(page, "!/still open/.test(document.querySelector('#alarm-list li').textContent)")

    entry.locator(".event").focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[open]")
    video = dialog.locator("video")
    video.wait_for()
    holds(page, "document.querySelector('dialog video').readyState >= 2")
    video.evaluate("video => { video.muted = true; return video.play() }")
    holds(page, "document.querySelector('dialog video').currentTime > 0.5")
    video.evaluate("video => { video.dataset.before = 'yes'; video.focus() }")
    dialog.locator("h2").evaluate("title => { title.dataset.before = 'yes' }")
    page.evaluate("id => document.querySelector(`#alarm-list [data-id='${id}'] button`).click()", event_id)
    holds(page, "!document.querySelector('dialog h2').dataset.before")  # drawn again, and the clip plays on
    assert video.evaluate("video => video.dataset.before && !video.paused && video === document.activeElement")
    assert dialog.locator(".strip li").count() >= 2
    assert re.search(r"\d+ %", dialog.locator(".strip").inner_text())
    page.keyboard.press("a")
    holds(page, "/Acknowledged by somebody on this page/.test(document.querySelector('#answered')?.textContent)")
    assert page.locator(f"#answered-list li[data-id='{event_id}'] .answers button").count() == 2  # still to be judged
    dialog.locator("[data-verdict=false_alarm]").click()
    dialog.locator("[data-verdict=false_alarm].chosen").wait_for()
    with Store.read_only(site.data) as store:
        until(lambda: [e for e in store.events.since(0.0) if e.message.id == event_id][0].verdict == "false_alarm")  # noqa: RUF015
    page.keyboard.press("Escape")
    holds(page, "!document.querySelector('dialog').open")
    holds(page, "id => document.activeElement.closest('li')?.dataset.id === id", event_id)

    site.go(page, "tuning")
    page.locator("#budget-per-day").fill("1")
    page.locator("#budget button[type=submit], #budget button:not([type])").click()
    holds(page, "/95 %/.test(document.getElementById('budget-answer').textContent)")
    page.locator("#budget-apply").click()
    holds(page, "/ set to /.test(document.getElementById('budget-answer').textContent)")
    until(lambda: site.asked("state")["cameras"]["door"]["threshold"] not in (0, 1), what="the threshold in force")
    assert site.complaints == []
    page.close()


def test_it_is_small_and_paints_soon(site: Watched, browser: Browser) -> None:
    page = browser.new_page()
    received: list[int] = []
    page.on("response", lambda answer: received.append(int(answer.headers.get("content-length", 0))))
    page.goto(site.address)
    page.locator("#alarms").wait_for()
    assert sum(received) < 300_000
    holds(page, "performance.getEntriesByName('first-contentful-paint').length > 0")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print(f"{sum(received)} bytes, first paint after {painted:.0f} ms")
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_over_the_edge_and_all_can_be_reached_by_keyboard(
    site: Watched, browser: Browser, width: int
) -> None:
    page = site.open(browser, width, 740)
    page.locator(".card").wait_for()
    if width == 360:
        page.locator("#menu").click()  # the header's buttons are behind it
    reached = set()
    for view in ("alarms", "cameras", "past", "tuning", "health"):
        site.go(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        for _ in range(25):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"theme", "Test", "events-camera", "what-threshold", "what-apply", "budget-per-day"} <= reached
    assert site.complaints == []
    page.close()


def test_the_score_line_is_there_at_once(site: Watched, browser: Browser) -> None:
    until(lambda: len(site.asked("cameras/door/line")) > 10, 60, "ten scores")
    page = site.open(browser)
    page.route("**/api/stream", lambda route: route.abort())  # nothing but what was before
    page.reload()
    page.locator(".card").wait_for()
    drawn = """() => { const line = document.querySelector('canvas.line'), data = line.getContext('2d')
        .getImageData(0, 0, line.width, line.height).data; let found = 0;
        for (let i = 0; i < data.length; i += 4) found += data[i + 3] > 200 && data[i + 2] - data[i] > 60;
        return found }"""
    until(lambda: page.evaluate(drawn) > 20, 30, "a line of ten scores")
    page.close()
    site.complaints.clear()  # the browser's own, of the stream


def test_a_topic_that_does_not_get_through_and_a_cameras_problem_are_seen(site: Watched, browser: Browser) -> None:
    page, state = site.open(browser), site.asked("state")
    lights = page.locator("#lights li.bad")
    assert state["delivery"]["failed"] == {}
    state["delivery"] = {"proof": "failed", "failed": {"mgfn/events": "the broker's access rules forbid it"}}
    state["cameras"]["door"] |= {"status": "degraded", "problem": "nothing is scored: 13 frames in 100 s"}
    page.route("**/api/stream", lambda route: route.abort())
    page.route("**/api/state", lambda route: route.fulfill(json=state))
    page.reload()
    page.get_by_text("nothing is scored: 13 frames in 100 s").wait_for()
    assert "mgfn/events: the broker's access rules forbid it" in lights.all_text_contents()
    page.unroute_all(behavior="ignoreErrors")
    page.close()
    site.complaints.clear()  # the browser's own, of the stream


def test_a_stream_that_was_refused_is_asked_for_again(site: Watched, browser: Browser) -> None:
    page = site.open(browser)
    page.locator(".card").wait_for()
    page.route("**/api/stream", lambda route: route.fulfill(status=502, body="bad gateway"))
    page.reload()
    page.get_by_text("Connection lost").wait_for()
    page.unroute("**/api/stream")
    page.locator("#alert").wait_for(state="hidden")
    page.close()
    site.complaints.clear()  # the browser's own, of the 502


def test_the_last_day_is_opened_by_keyboard(site: Watched, browser: Browser) -> None:
    page = site.open(browser)
    page.locator(".card").wait_for()
    page.locator(".past").focus()
    page.keyboard.press("Enter")
    holds(page, "document.getElementById('events-camera').value === 'door'")
    assert page.evaluate("document.activeElement.id") == "past"
    assert page.url.endswith("#past?camera=door")
    page.close()


def test_news_of_an_event_do_not_open_it_again(site: Watched, browser: Browser) -> None:
    page = site.open(browser)
    site.send_test(page).locator(".event").click()
    page.locator("dialog[open]").wait_for()
    held: list[Route] = []
    page.route("**/api/events/*", lambda route: held.append(route))
    with page.expect_request("**/api/events/*"):  # its end, two seconds after its beginning
        pass
    page.keyboard.press("Escape")
    with page.expect_response("**/api/events/*"):
        held[0].continue_()
    page.evaluate("new Promise(done => setTimeout(done, 100))")
    assert page.locator("dialog[open]").count() == 0
    page.unroute_all(behavior="ignoreErrors")
    page.close()


def test_an_event_that_begins_while_the_list_is_on_its_way_is_shown(site: Watched, browser: Browser) -> None:
    page, other = site.open(browser), site.open(browser)
    earlier = site.send_test(page)
    its_id = earlier.get_attribute("data-id")
    until(lambda: site.asked(f"events/{its_id}")["clip"], what="its files: no news will draw its row again")
    page.wait_for_timeout(1_000)  # what is stored is told soon after
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/api/events?*", lambda route: held.append((route, route.fetch())))
    page.locator("#events-camera").select_option("door")
    until(lambda: page.evaluate("true") and held, what="the list on its way")
    fresh = page.locator(f"#event-list li[data-id='{site.send_test(other).get_attribute('data-id')}']")
    fresh.wait_for()
    earlier.evaluate("row => row.dataset.before = 'yes'")
    for route, answer in held:
        route.fulfill(response=answer)
    holds(page, "id => !document.querySelector(`[data-id='${id}']`).dataset.before", its_id)
    assert fresh.count() == 1
    page.unroute_all(behavior="ignoreErrors")
    page.close()
    other.close()


def test_an_alarm_that_comes_while_another_is_looked_at_can_be_shown(site: Watched, browser: Browser) -> None:
    page, other = site.open(browser), site.open(browser)
    site.send_test(page).locator(".event").click()
    page.locator("dialog[open] h2").wait_for()
    page.locator("#alert-close").click()
    second = site.send_test(other).get_attribute("data-id")
    page.locator("#alert-show").click()
    holds(page, f"document.getElementById('detail').dataset.id === '{second}'")
    page.locator("#alert").wait_for(state="hidden")  # it is shown now
    page.keyboard.press("Escape")
    assert site.complaints == []
    page.close()
    other.close()


def test_a_test_asks_for_no_verdict_and_a_disabled_camera_shows_no_old_score(site: Watched, browser: Browser) -> None:
    page = site.open(browser)
    site.send_test(page).locator(".event").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_text("score 0 to 1. Dashed: threshold.").wait_for()
    assert dialog.locator("[data-verdict]").count() == 0
    assert "null" not in dialog.inner_text()
    assert "a test: there is nothing to judge" in dialog.inner_text()
    event_id = dialog.get_attribute("data-id")
    page.keyboard.press("Escape")
    site.go(page, "alarms")
    waiting, done = (page.locator(f"#{part}-list li[data-id='{event_id}']") for part in ("alarm", "answered"))
    assert waiting.locator("strong").text_content() == "door: TEST"  # out of sight: no inner text
    waiting.get_by_role("button", name="Acknowledge").click()
    done.wait_for()
    assert done.locator(".answers").count() == waiting.count() == 0
    cells = "[...document.querySelectorAll('#health-rows td')].map(cell => cell.textContent)"
    for button, status, known in (("Disable", "disabled", False), ("Enable", "(online|warming)", True)):
        site.go(page, "cameras")
        page.get_by_role("button", name=button, exact=True).click()
        if button == "Disable":
            page.get_by_text("Disabled by somebody on this page").wait_for()
        site.go(page, "health")
        holds(page, f"(cells => /^{status}$/.test(cells[0]) && (cells[2] !== '') === {str(known).lower()})({cells})")
    assert site.complaints == []
    page.close()


def test_dark_and_light_differ_and_stay(site: Watched, browser: Browser) -> None:
    page = site.open(browser)
    page.locator(".card").wait_for()

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    first = ground()
    page.locator("#theme").click()
    assert ground() != first
    chosen = ground()
    page.reload()
    page.locator(".card").wait_for()
    assert ground() == chosen
    page.close()


def test_a_token_is_asked_for_and_kept(tmp_path: Path, tiny_bundle: Path, browser: Browser) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse-battery")
    with watched(tmp_path, tiny_bundle, "--http-token-file", token) as site:
        page = browser.new_context().new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(site.address)
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("Wrong token").wait_for()
        page.locator("#token").fill("correct-horse-battery")
        page.keyboard.press("Enter")
        page.locator("#alarms").wait_for()
        page.reload()
        page.locator("#alarms").wait_for()
        page.get_by_text("Log out operator").wait_for()
        page.context.close()
    assert "correct-horse-battery" not in site.service.log.read_text()
