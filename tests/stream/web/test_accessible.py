"""The page for everybody: axe-core, and long names on a phone, in a real Chromium."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from stream.alarm.event import Event, Moment
from stream.archive.explanation import jpeg
from stream.archive.media import media_path
from stream.archive.store import Store
from stream.base.people import People, Person
from tests.servers.processes import until
from tests.stream.web.desks import CAMERAS, desk, opened
from tests.stream.web.sites import MODEL, Site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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
