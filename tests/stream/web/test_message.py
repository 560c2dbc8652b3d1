"""A message on the page covers nothing that can be used, in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stream.web.desks import CAMERAS, desk, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

SAY = "text => import('/page/alert.js').then(({ say }) => say(text, { show: () => {} }))"
LONG = "camera-01: alarm (tampering), 23:59. " * 4
COVERED = """root => {
    const message = document.querySelector('#alert'), frame = document.querySelector(root).getBoundingClientRect();
    const parts = [...document.querySelectorAll(`${root} :is(button, a, select, input, summary)`)];
    return parts.filter(part => {
        const { x, y, width, height } = part.getBoundingClientRect(), at = [x + width / 2, y + height / 2];
        const bottom = Math.min(innerHeight, frame.bottom);
        const shown = width && at[0] > 0 && at[0] < innerWidth && at[1] > frame.top && at[1] < bottom;
        return shown && !message.contains(part) && message.contains(document.elementFromPoint(...at));
    }).map(part => part.outerHTML.slice(0, 80));
}"""


def covered(page: Page, root: str) -> set[str]:
    """What is on the screen, but a click on its centre would go to the message."""
    return set(page.evaluate(COVERED, root))


@pytest.mark.parametrize("width", [360, 1280])
def test_a_message_covers_nothing(busy: tuple[Path, float], browser: Browser, width: int) -> None:
    with desk(busy[0], cameras=CAMERAS[:4]) as (_, address):
        page, complaints = opened(browser, address, width=width)
        page.locator("#alarm-list li[data-id]").first.wait_for()
        for view in ("alarms", "cameras", "past", "tuning", "health"):
            page.evaluate("view => { location.hash = view }", view)
            page.locator(f"#{view}").wait_for()
            page.evaluate(SAY, LONG)
            assert page.locator("#alert").is_visible()
            assert covered(page, "body") == set(), view
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        page.evaluate("location.hash = 'cameras'")
        for button in ("#set-modes", "#find-cameras"):
            page.locator(button).click()  # while the message is shown
            page.locator("dialog[open] h2").wait_for()
            assert page.locator("dialog[open] #alert").is_visible()
            assert covered(page, "dialog[open]") == set(), button
            page.keyboard.press("Escape")
        page.evaluate("location.hash = 'alarms'")
        page.locator("#alarm-list .event").first.click()
        page.locator("dialog[open] [data-verdict]").first.wait_for()
        assert covered(page, "dialog[open]") == set()
        page.locator("#alert-close").click()
        assert complaints == []
        page.context.close()
