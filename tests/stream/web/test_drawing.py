"""Masks are drawn in a real Chromium on the picture of a real camera, and change what is scored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import httpx
import numpy as np
import pytest

from tests.servers.processes import until
from tests.stream.web.test_page import Watched, holds, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow


def scores(site: Watched) -> list[float]:
    return [score for _, score in site.asked("cameras/door/line")]


def brightness(site: Watched) -> np.ndarray:
    """The mean of each quarter of what the model sees."""
    answer = httpx.get(f"{site.address}api/cameras/door/picture.jpg")
    if answer.status_code != 200:
        return np.full((2, 2), -1.0)
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return np.asarray(cv2.resize(picture.astype(np.float32), (2, 2), interpolation=cv2.INTER_AREA))


class Pen:
    """Points on the picture, in fractions of it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.get_by_role("button", name="Draw", exact=True).click()
        holds(page, "document.querySelector('#draw[open] img')?.naturalWidth === 320")
        self.stage = page.locator("#draw .stage")

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.stage.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click(self, *points: tuple[float, float]) -> None:
        for point in points:
            self._page.mouse.click(*self.at(*point))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self._page.mouse
        mouse.move(*self.at(*start))
        mouse.down()
        mouse.move(*self.at(*end), steps=4)
        mouse.up()

    def shapes(self, kind: str) -> int:
        return self._page.locator(f"#draw polygon.{kind}").count()


def test_a_mask_drawn_with_the_mouse_changes_the_score(tmp_path: Path, tiny_bundle: Path, browser: Browser) -> None:
    with watched(tmp_path, tiny_bundle) as site:
        page = site.open(browser)
        missing: list[str] = []
        page.on("response", lambda answer: missing.append(answer.url) if answer.status == 404 else None)
        until(lambda: len(scores(site)) >= 40, 90, "a full window of scores")
        before = scores(site)[-5:]
        assert (brightness(site) > 20).all()

        pen = Pen(page)
        pen.drag((0.02, 0.05), (0.3, 0.4))
        assert pen.shapes("masks") == 1
        pen.drag((0.3, 0.4), (0.6, 0.6))  # its corner
        assert "[0.6,0.6]" in page.locator("#draw pre").text_content().replace(" ", "")  # type: ignore[union-attr]
        page.keyboard.press("Control+z")
        page.get_by_role("button", name="Undo").click()
        assert pen.shapes("masks") == 0

        pen.click((0.1, 0.1), (0.5, 0.5), (0.5, 0.1), (0.1, 0.5), (0.1, 0.1))  # the last one closes it
        page.locator("#draw-save").click()
        page.get_by_text("masks[0]: crosses itself: the edge from corner 1 to 2 meets").wait_for()
        page.get_by_role("button", name="Undo").click()
        page.locator("#draw-save").click()
        page.get_by_text("Close the open shape first").wait_for()
        page.get_by_role("button", name="Delete all").click()

        pen.stage.focus()  # with the keyboard alone: the cross starts in the middle
        page.get_by_role("button", name="Region").click()
        pen.stage.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        for _ in range(3):
            page.keyboard.press("Shift+ArrowRight")
            page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("Enter")
        assert "region: {x: 0.49, y: 0.5, width: 0.3, height: 0.3}" in str(page.locator("#draw pre").text_content())
        page.locator("#draw .corner").last.focus()
        page.keyboard.press("Delete")
        assert pen.shapes("region") == 0

        page.get_by_role("button", name="Mask", exact=True).click()
        pen.drag((0.0, 0.0), (0.999, 0.5))
        page.locator("#draw-save").click()
        page.get_by_text("the drawing is in force").wait_for()
        until(lambda: brightness(site)[0].max() < 5 and brightness(site)[1].min() > 20, 60, "the upper half in black")
        until(lambda: len(scores(site)) >= 40, 90, "a full window again")
        after = scores(site)[-5:]
        assert abs(np.mean(after) - np.mean(before)) > 1e-4, (before, after)
        assert site.asked("cameras/door/view")["drawn"]

        nothing: dict[str, object] = {"region": None, "masks": [], "only_here": []}  # what another operator still shows
        answer = httpx.post(f"{site.address}api/cameras/door/view", json={"view": nothing, "before": nothing})
        assert answer.status_code == 409

        Pen(page)
        page.locator("#draw-reset").click()
        until(lambda: (brightness(site) > 20).all(), 60, "the whole picture again")
        assert not site.asked("cameras/door/view")["drawn"]
        assert list((site.data / "media").glob("*.jpg")) == []  # the whole pictures were for the page alone
        assert [url for url in missing if "/picture.jpg" not in url] == []  # while the camera connects, there is none
        assert [line for line in site.complaints if not re.search(r"status of 4(04|09|22)", line)] == []
        page.close()

        context = browser.new_context(has_touch=True, viewport={"width": 360, "height": 740})
        phone = context.new_page()
        phone.goto(site.address)
        pen = Pen(phone)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        pen.stage.scroll_into_view_if_needed()
        for x, y in ((0.2, 0.2), (0.7, 0.2), (0.7, 0.7), (0.2, 0.2)):
            phone.touchscreen.tap(*pen.at(x, y))
        assert pen.shapes("masks") == 1
        context.close()
