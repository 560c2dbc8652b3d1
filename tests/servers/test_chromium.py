"""The browser that other tests drive is a real one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow


def test_it_runs_scripts_and_knows_h264(browser: Browser) -> None:
    assert re.fullmatch(r"[0-9.]+", browser.version)
    page = browser.new_page()
    page.set_content("<p id=here></p><script>here.textContent = 6 * 7</script>")
    assert page.inner_text("#here") == "42"
    assert page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.42E01E\"')")
    page.close()
