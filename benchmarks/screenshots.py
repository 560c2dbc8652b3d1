"""Takes docs/img/*.png of the page in Chromium, on the demo's footage: python -m benchmarks.screenshots."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

from configs.pinned import PinnedFile, cache_folder, fetch
from stream.cli.demo.__main__ import rtsp_server
from stream.service.staged_footage import STAGED_THRESHOLD, staged_footage

ADDRESS = "http://127.0.0.1:18098"
IMAGES = Path(__file__).parents[1] / "docs" / "img"


def save(name: str, png: bytes) -> None:
    """With 64 colours, so that each is below 100 KB."""
    IMAGES.mkdir(exist_ok=True)
    Image.open(io.BytesIO(png)).convert("RGB").quantize(64).save(IMAGES / f"{name}.png", optimize=True)
    print(name, (IMAGES / f"{name}.png").stat().st_size)


def main() -> None:
    samples = cache_folder("samples")
    street = fetch(PinnedFile.named("samples.json", "bikes"), samples)
    recording = staged_footage(street, samples)
    with (
        tempfile.TemporaryDirectory() as folder,
        rtsp_server(recording.parent) as (server, _),
        sync_playwright() as driver,
    ):
        command = [sys.executable, "-m", "stream.cli", "--data", folder]
        for name, file in (("corner", street), ("street", recording)):
            command += ["--rtsp", f"{name}={server}{file.name}?play_count=0"]
        command += ["--http", ADDRESS.removeprefix("http://"), "--self-test", "off"]
        command += ["--threshold", str(STAGED_THRESHOLD)]  # a minute of one street is not enough to learn one from
        with (Path(folder) / "log").open("wb") as log:
            service = subprocess.Popen(command, stderr=log)
        try:
            until = time.monotonic() + 240  # a bundle may have to be built
            while time.monotonic() < until:
                try:
                    if httpx.get(f"{ADDRESS}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 700}, color_scheme="light")
            page.set_default_timeout(60_000)
            page.goto(f"{ADDRESS}#cameras")
            page.locator(".card.alarm").wait_for()
            page.wait_for_timeout(2_500)
            save("page", page.screenshot())
            page.set_viewport_size({"width": 360, "height": 740})
            page.emulate_media(color_scheme="dark")
            page.evaluate("location.hash = 'alarms'")
            page.locator("#alarm-list li[data-id]").first.wait_for()
            page.wait_for_timeout(500)
            save("phone-dark", page.screenshot())
            page.set_viewport_size({"width": 800, "height": 900})
            page.emulate_media(color_scheme="light")
            while not page.evaluate("/ s, top score/.test(document.querySelector('#alarm-list li').textContent)"):
                page.wait_for_timeout(200)
            page.wait_for_timeout(8_000)  # the clip contains five seconds after the alarm
            page.locator("#alert-close").click()
            page.locator("#alarm-list .event").first.click()
            page.locator("dialog[open] .strip li").first.wait_for()
            page.get_by_role("button", name="Where").click()
            page.wait_for_timeout(800)
            save("event", page.screenshot())
            browser.close()
        finally:
            service.terminate()
            service.wait(10)


if __name__ == "__main__":
    main()
