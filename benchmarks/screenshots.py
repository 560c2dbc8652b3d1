"""Takes docs/img/*.webp of the page and the desk in Chromium: python -m benchmarks.screenshots --footage VIDEO

VIDEO is car-detection.mp4 of Intel's IoT DevKit sample videos (CC BY 4.0, credited in docs/page.md). Its cars pass
three cameras. One is blinded by a rendered lamp, another is covered by a rendered cloth. Frames of other footage may be
published only if its licence allows it. Scores are real; those of the day before repeat a minute without incidents.
Needs Mosquitto.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import av
import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from configs.processes import child, rtsp_server, wait_for
from engine.arrays import UInt8Array
from stream.archive.score_log import LoggedScore, pack
from stream.archive.store import Store
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port

IMAGES: Final = Path(__file__).parents[1] / "docs" / "img"
DEFAULT_FOOTAGE: Final = Path(__file__).parents[2] / "shared" / "data" / "cctv-normal" / "car-detection.mp4"
FPS: Final = 25
INCIDENT: Final = (14.0, 20.0)  # seconds of the recording; two cars pass meanwhile
CAMERAS: Final = ("car_park", "entrance", "exit")
WORKERS: Final = 2
DAY: Final = 86_400.0
QUALITY: Final = 80

HOME: Final = """node: home
data: {folder}/home
mqtt: {{url: "{mqtt}"}}
http: {{address: "127.0.0.1:{port}"}}
time_zone: Europe/Berlin
self_test: 0
defaults:
  fps: 12.5
  alarm: {{threshold_on: 0.3, threshold_off: 0.2, cool_down: 5}}
  clip: {{pre_roll: 3, post_roll: 3}}
modes:
  home: {{cameras: {{entrance: {{enabled: false}}}}}}
  away: {{}}
  night: {{schedule: [{{from: "22:00", to: "06:00"}}]}}
  off: {{every: {{enabled: false}}}}
cameras:
"""
CAMPUS: Final = """node: campus
mqtt: {{url: "{mqtt}", topic_prefix: campus}}
http: {{address: "127.0.0.1:{port}"}}
self_test: 0
defaults: {{fps: 10}}
cameras:
"""


def lamp(frames: UInt8Array, onset: int, rng: np.random.Generator) -> UInt8Array:
    """Somebody shines a flickering lamp into the lens; frames (n, height, width, 3)."""
    out = frames.copy()
    height, width = frames.shape[1:3]
    yy, xx = np.mgrid[0:height, 0:width]
    glow = np.exp(-((yy - 0.4 * height) ** 2 + (xx - 0.5 * width) ** 2) / (0.4 * width) ** 2)[..., None]
    for index in range(onset, len(frames)):
        light = 170 * (1 - 0.5 * rng.uniform()) * min(1.0, (index - onset) / 10)
        out[index] = np.clip(frames[index] * (1 + light / 200) + light * (0.3 + 0.7 * glow), 0, 255)
    return out


def cloth(frames: UInt8Array, onset: int, rng: np.random.Generator) -> UInt8Array:
    """A cloth slides over the lens and moves a little; frames (n, height, width, 3)."""
    out = (frames * 0.6).astype(np.uint8)
    out[:onset] = frames[:onset]
    height, width = frames.shape[1:3]
    folds = np.array([120, 96, 74]) + 30 * np.sin(np.arange(width) / 23)[:, None]
    for index in range(onset, len(frames)):
        covered = int(0.9 * width * min(1.0, (index - onset + 1) / 10))
        moved = np.roll(folds, int(rng.integers(-8, 9)), axis=0) + rng.normal(0, 3, (height, width, 1))
        out[index, :, :covered] = np.clip(moved, 0, 255)[:, :covered]
    return out


def recordings(footage: Path, folder: Path, *, incidents: bool) -> None:
    """NAME.mp4 for each camera: the footage, mirrored or cropped, and at different times."""
    with av.open(str(footage)) as container:
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    pictures = np.repeat(pictures, 2, axis=0)  # from 12.5 to 25 frames per second
    rng, (begin, end) = np.random.default_rng(0), (round(FPS * at) for at in INCIDENT)
    late = np.roll(pictures, -8 * FPS, axis=0)[:, 40:364, 96:672]
    for name, frames, tamper in (
        ("car_park", pictures, lamp),
        ("entrance", np.roll(pictures, 10 * FPS, axis=0)[:, :, ::-1], None),
        ("exit", late, cloth),
    ):
        shown = np.array(frames)
        if tamper is not None and incidents:
            shown[begin:end] = tamper(shown[begin - 1 : end], 1, rng)[1:]
        write(folder / f"{name}.mp4", shown)


def write(path: Path, frames: UInt8Array) -> None:
    """H.264, as cameras send it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.options = {"preset": "veryfast", "bf": "0", "g": str(FPS), "x264-params": "repeat-headers=1"}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))


def written(path: Path, text: str, server: str, **values: object) -> Path:
    cameras = "".join(f"  {name}: {{url: '{server}{name}.mp4?play_count=0'}}\n" for name in CAMERAS)
    path.write_text(text.format(folder=path.parent, **values) + cameras)
    return path


@contextmanager
def serving(log: Path, port: int, *arguments: object) -> Iterator[str]:
    """`mgfn-stream` with a page that answers; its address."""
    address = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        try:
            return httpx.get(address).status_code == 200
        except httpx.TransportError:
            return False

    command = [sys.executable, "-m", "stream.cli", *map(str, arguments)]
    with log.open("wb") as file, child(command, 20, stderr=file, stdout=subprocess.DEVNULL) as process:
        wait_for(answers, process, f"mgfn-stream, see {log}", 240)  # a bundle may have to be built
        yield address


def waited(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """What the condition returns, once it is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)
    return found


def asked(address: str, what: str) -> Any:
    return httpx.get(f"{address}api/{what}", timeout=30).raise_for_status().json()


def day_of_scores(folder: Path) -> None:
    """The stored scores, again and again for the day before."""
    with Store.open(folder) as store, store.transaction():
        for camera in store.scores.cameras():
            found = store.scores.columns(camera, 0, time.time())
            spans = zip(found.starts.tolist(), (found.spans / 1000).tolist(), found.scores.tolist(), strict=True)
            minute = [LoggedScore(start, start + span, score, 32) for start, span, score in spans]
            length, back = minute[-1].end - minute[0].start, 0.0
            while (back := back + length) < DAY - length:
                store.scores.add(
                    camera, pack([replace(each, start=each.start - back, end=each.end - back) for each in minute])
                )


def save(name: str, png: bytes) -> None:
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.webp"
    Image.open(io.BytesIO(png)).convert("RGB").save(path, quality=QUALITY, method=6)
    print(name, path.stat().st_size, flush=True)


class Shots:
    """Takes images of a page, without a message over it."""

    def __init__(self, browser: Browser, address: str, width: int, height: int, **options: Any) -> None:
        self.page: Page = browser.new_context(
            locale="en-GB", viewport={"width": width, "height": height}, **options
        ).new_page()
        self.page.set_default_timeout(60_000)
        self.page.goto(address)

    def view(self, name: str) -> None:
        self.page.evaluate("name => { location.hash = name }", name)
        self.page.wait_for_timeout(1_500)

    def save(self, name: str, **options: Any) -> None:
        if (close := self.page.locator("#alert-close")).is_visible():
            close.click()
        save(name, self.page.screenshot(**options))


def page_shots(browser: Browser, address: str) -> None:
    def alarms(camera: str) -> list[dict[str, Any]]:
        found = asked(address, f"events?camera={camera}")
        return [event for event in found if event["label"] == "anomaly" and event["clip"]]

    for camera in ("car_park", "exit"):
        waited(lambda camera=camera: alarms(camera), f"an alarm of {camera}")
    lamps, cloths = alarms("car_park"), alarms("exit")
    httpx.post(f"{address}api/events/{cloths[0]['id']}/verdict", json={"verdict": "true"})
    shots = Shots(browser, f"{address}#cameras", 1280, 740, color_scheme="light")
    page = shots.page
    waited(lambda: not any(camera["problem"] for camera in asked(address, "state")["cameras"].values()), "no problem")
    page.locator(".card:not(.alarm)[aria-label=car_park]").wait_for()
    page.locator(".card.alarm[aria-label=car_park]").wait_for()
    page.wait_for_timeout(2_200)  # a card gets an image every two seconds
    shots.save("cameras")
    waited(lambda: len(alarms("car_park")) > len(lamps), "another alarm of the car park")
    page.set_viewport_size({"width": 1280, "height": 540})
    shots.view("alarms")
    shots.save("alarms")
    page.locator("#alarm-list .event", has_text="car_park").last.click()
    page.locator("dialog[open] .strip li").first.wait_for()
    page.get_by_role("button", name="Where").click()
    page.set_viewport_size({"width": 900, "height": 1000})
    page.wait_for_timeout(1_000)
    shots.save("event")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1280, "height": 640})
    shots.view("tuning")
    page.locator("#what-camera").select_option("car_park")
    page.locator("#what-threshold").fill("0.2")
    page.get_by_text("hours with scores").wait_for()
    shots.save("tuning")
    shots.view("health")
    shots.save("health")
    shots.view("cameras")
    page.locator("#set-modes").click()
    page.get_by_role("checkbox", name="exit, away").wait_for()
    shots.save("modes")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1000, "height": 1000})
    page.locator(".card[aria-label=car_park]").get_by_role("button", name="Draw", exact=True).click()
    waited(lambda: page.evaluate("document.querySelector('#draw img')?.naturalWidth"), "the image to draw on")
    drag(page, (0.0, 0.0), (0.3, 0.25))
    page.get_by_role("button", name="Only here", exact=True).click()
    drag(page, (0.1, 0.3), (0.93, 0.97))
    shots.save("draw")
    page.context.close()
    phone = Shots(browser, f"{address}#alarms", 360, 740, color_scheme="dark", device_scale_factor=2, has_touch=True)
    phone.page.locator("#alarm-list li[data-id]").first.wait_for()
    phone.page.wait_for_timeout(1_000)
    phone.save("phone-dark")
    phone.page.context.close()


def drag(page: Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """On the image, in shares of its width and height."""
    box = page.locator("#draw .stage").bounding_box()
    assert box is not None
    (x, y), (right, bottom) = (
        (box["x"] + 2 + at[0] * (box["width"] - 4), box["y"] + 2 + at[1] * (box["height"] - 4)) for at in (begin, end)
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(right, bottom, steps=5)
    page.mouse.up()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", type=Path, default=DEFAULT_FOOTAGE)
    footage = parser.parse_args().footage
    if not footage.is_file():
        raise SystemExit(f"--footage {footage}: no such file; give car-detection.mp4 of Intel's sample videos")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        folder = Path(name)
        ports = [free_port() for _ in range(2 + WORKERS)]
        (folder / "broker").mkdir()
        broker = Mosquitto(folder / "broker")
        broker.start()
        try:
            take(
                driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"]),
                footage,
                folder,
                broker.url,
                ports,
            )
        finally:
            broker.stop()


def take(browser: Browser, footage: Path, folder: Path, mqtt: str, ports: list[int]) -> None:
    home, desk, *campus = ports
    calm, staged = folder / "calm", folder / "staged"
    for videos, incidents in ((calm, False), (staged, True)):
        videos.mkdir()
        recordings(footage, videos, incidents=incidents)
    with rtsp_server(calm) as (server, _):
        site = written(folder / "home.yaml", HOME, server, mqtt=mqtt, port=home)
        with serving(folder / "calm.log", home, "--config", site) as address:
            waited(
                lambda: all(len(asked(address, f"cameras/{name}/line")) > 60 for name in CAMERAS), "a minute of scores"
            )
    day_of_scores(folder / "home")
    with rtsp_server(staged) as (server, _), rtsp_server(calm) as (other, _):
        site = written(folder / "home.yaml", HOME, server, mqtt=mqtt, port=home)
        with serving(folder / "home.log", home, "--config", site) as address:
            page_shots(browser, address)
            site = written(folder / "campus.yaml", CAMPUS, other, mqtt=mqtt, port=0)
            shards = []
            for number, port in enumerate(campus, 1):
                flags = ("--config", site, "--shard", f"{number}/{WORKERS}", "--http", f"127.0.0.1:{port}")
                shards.append(serving(folder / f"{number}.log", port, *flags, "--data", folder / f"campus-{number}"))
            with (
                shards[0],
                shards[1],
                serving(folder / "desk.log", desk, "desk", "--mqtt", mqtt, "--http", f"127.0.0.1:{desk}") as page,
            ):
                waited(lambda: online(asked(page, "desk")), "all cameras on the desk", 180)
                shots = Shots(browser, page, 1280, 760, color_scheme="light")
                shots.page.locator("#alarms li").first.wait_for()
                shots.page.wait_for_timeout(1_000)
                save("desk", shots.page.screenshot(full_page=True))


def online(state: dict[str, Any]) -> bool:
    """Whether both instances are there, and each camera has a worker or needs none."""
    cameras = [camera for node in state["nodes"] for camera in node["cameras"]]
    return (
        len(state["nodes"]) == 2 and len(cameras) == 2 * len(CAMERAS) and all(c["status"] == "online" for c in cameras)
    )


if __name__ == "__main__":
    main()
