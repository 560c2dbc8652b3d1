"""An alarm's clip in a real browser: it plays, and holds what was before the alarm, the alarm and what came after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.rtsp import TestCamera, encode
from tests.servers.service import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

FPS = 25
CHANGE = 14 * FPS  # here the picture turns from blue to red
PATIENCE = 60.0

# Plays the first second for real; then the colour (red less blue) every quarter of a second.
WATCH = """
async url => {
  const video = document.createElement("video");
  video.muted = true; video.src = url;
  document.body.append(video);
  const happens = name => new Promise((done, failed) => {
    video.addEventListener(name, done, {once: true});
    video.addEventListener("error", () => failed(new Error(video.error.message)), {once: true});
  });
  await happens("loadeddata");
  await video.play();
  while (video.currentTime < 1) await happens("timeupdate");
  video.pause();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", {willReadFrequently: true});
  const colours = [];
  for (let at = 0.1; at < video.duration; at += 0.25) {
    const there = happens("seeked");
    video.currentTime = at;
    await there;
    brush.drawImage(video, 0, 0, 1, 1);
    const [red, , blue] = brush.getImageData(0, 0, 1, 1).data;
    colours.push([at, red - blue]);
  }
  return {colours, duration: video.duration, shown: video.getVideoPlaybackQuality().totalVideoFrames};
}
"""


def test_it_plays_and_holds_the_incident_with_its_pre_roll(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto, browser: Browser
) -> None:
    noise = np.random.default_rng(0).integers(0, 40, (240, 320, 3), dtype=np.uint8)
    blue, red = noise + np.array([0, 0, 200], np.uint8), noise + np.array([200, 0, 0], np.uint8)
    camera = TestCamera(tmp_path, encode([blue] * CHANGE + [red] * (40 * FPS), FPS))
    subscriber, port = Subscriber(mosquitto.port), free_port()
    arguments = ["--mqtt", mosquitto.url, "--bundle", tiny_bundle, "--http", f"127.0.0.1:{port}", "--threshold", "1"]
    with camera.running(), running(tmp_path, *arguments, "--rtsp", f"door={camera.url}") as service:
        until(lambda: CHANGE + 2 * FPS in camera.sent, PATIENCE, "the incident")
        subscriber.publish("mgfn/door/test/set", "")
        until(lambda: [e for e in subscriber.events() if e["type"] == "media"], PATIENCE, "the clip")
        media = subscriber.events()[-1]
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/healthz")
        seen = page.evaluate(WATCH, media["clip"])
        page.close()
        assert service.stop() == 0
    subscriber.close()
    assert seen["shown"] > FPS // 2
    colours = [colour > 0 for _, colour in seen["colours"]]
    assert not colours[0]  # before the incident
    assert colours[-1]  # and after
    assert colours == sorted(colours)
    assert min(abs(colour) for _, colour in seen["colours"]) > 100
    # where the colour changes tells when the clip begins on the camera's clock
    change_at = next(at for at, colour in seen["colours"] if colour > 0) - 0.125
    began = min(at - unit / FPS for unit, at in camera.sent.items())  # a server held up sends some late
    before = media["start_time"] - (began + CHANGE / FPS - change_at)
    after = seen["duration"] - before - (media["end_time"] - media["start_time"])
    # five seconds before and after, and up to a second more to the keyframe
    assert 4.6 < before < 6.5
    assert 4.6 < after < 6.0
