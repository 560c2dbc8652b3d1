"""From no camera to scores and modes, on the page alone, in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.built_once import recording
from tests.servers.onvif import OnvifDevice, Stream
from tests.servers.processes import free_port, until
from tests.servers.rtsp import TestCamera
from tests.servers.service import running
from tests.stream.web.test_page import Watched, holds

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

SITE = """# the site of the test
http: {{address: "127.0.0.1:{port}"}}
bundle: {bundle}
data: data
defaults: {{alarm: {{threshold_on: 1}}}}
cameras: {{}}   # none yet
"""


def test_from_discovery_to_the_first_score(tmp_path: Path, tiny_bundle: Path, browser: Browser) -> None:
    port, login, units = free_port(), ("viewer", "s3cret/p@ss"), recording()
    hall, yard = TestCamera(tmp_path, units), TestCamera(tmp_path, units, login=login)
    streams = (Stream(f"{yard.url}?main"), Stream(yard.url, 640, 360))
    device = OnvifDevice(*streams, name="Yard%20%3Cb%3E", login=login, clock=3_600)
    site_file = tmp_path / "site.yaml"
    site_file.write_text(SITE.format(port=port, bundle=tiny_bundle))
    with hall.running(), yard.running(), device.running(), running(tmp_path, "--config", site_file) as service:
        until(lambda: service.said("web page"), 60, "the page's address")
        site = Watched(service, f"http://127.0.0.1:{port}/", tmp_path / "data")
        page = site.open(browser, 360, 740)
        page.get_by_text("No cameras yet.").wait_for()
        page.get_by_role("button", name="Find cameras").click()
        page.get_by_label("Addresses or rtsp").fill(f"{device.host}, 127.0.0.1:{port}, {hall.url}")
        page.get_by_label("User of the cameras").fill("viewer")
        page.get_by_label("Password").fill("other")
        page.locator("#find-search").click()
        page.get_by_text(f"{device.host}: wrong user or password").wait_for()
        page.get_by_label("Password").fill(login[1])
        page.locator("#find-search").click()
        page.get_by_text("Yard <b>, Maker M1").wait_for()
        holds(page, "[...document.querySelectorAll('#find li img')].every(image => image.naturalWidth === 320)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        name = page.locator("#find li", has_text="Yard <b>").get_by_label("Name")
        page.locator("#find li", has_text="at the URL that was given").get_by_label("Name").fill("hall")
        assert name.input_value() == "Yard_b"
        name.fill("back yard")
        page.locator("#find-add").click()
        assert "back yard" not in site_file.read_text()  # the browser says what a name may be
        name.fill("back_yard")
        page.locator("#find-add").click()
        page.get_by_text("The password is stored in").wait_for()
        page.locator(".card[aria-label=back_yard]").get_by_text("score 0.").wait_for()  # its first score
        card = page.locator(".card[aria-label=back_yard]")
        card.get_by_role("button", name="Live").click()
        holds(page, "document.querySelector('.card[aria-label=back_yard] img').naturalWidth === 320")
        until(lambda: site.asked("state")["live_watchers"] == 1, 30, "the live image")  # the state is a second old
        card.get_by_role("button", name="Live").click()
        until(lambda: site.asked("state")["live_watchers"] == 0, 30, "the end of the live image")
        until(lambda: len(site.asked("cameras/back_yard/line")) >= 2, 60, "scores")

        def status(camera: str) -> Any:
            return site.asked("state")["cameras"][camera]["status"]

        assert page.locator("#mode").is_hidden()
        page.locator("#set-modes").click()
        page.get_by_role("checkbox", name="back_yard, home").uncheck()
        page.locator("#modes-save").click()
        page.locator("#menu").click()
        choice = page.locator("#mode-choice")
        until(lambda: choice.input_value() == "auto", what="the choice in the header")
        assert "disabled" not in (status("back_yard"), status("hall"))  # nobody has chosen a mode
        choice.select_option("home")
        until(lambda: status("back_yard") == "disabled" and status("hall") != "disabled", 30, "the mode in force")
        choice.select_option("off")
        until(lambda: status("back_yard") == status("hall") == "disabled", 30, "no camera watched")
        choice.select_option("night")
        until(lambda: "disabled" not in (status("back_yard"), status("hall")), 30, "both cameras watched")
        assert site.complaints == []
        page.close()
        assert service.stop() == 0
    text = site_file.read_text()
    assert text.startswith("# the site of the test")
    assert "# none yet" in text
    assert f"@127.0.0.1:{hall.port}/cam" in text
    assert "viewer:{MGFN_CAMERAS_PW}@" in text
    assert (tmp_path / "secrets" / "MGFN_CAMERAS_PW").read_text() == login[1]
    assert "s3cret" not in text + service.log.read_text()
