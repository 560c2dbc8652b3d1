"""The live path with all that the default bundle has: geometry `focus`, calibration, kinds; over a real RTSP server."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from engine.arrays import FloatArray
from engine.bundle import Bundle
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.camera.clip_cropper import ClipCropper
from stream.camera.messages import ClipReady
from stream.camera.view import View
from stream.settings.settings import CameraConfig
from stream.watch.learnt_score import calibration_of
from stream.watch.watched_camera import WatchedCamera
from tests.bundles import field_sources
from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera, encode, moving_pictures, write_video
from tests.servers.service import lines, running

pytestmark = pytest.mark.slow

CLIPS = 70
LIVE = 40  # clips that the test waits for
PICTURES = moving_pictures(16 * CLIPS)


def features_of(video: Path) -> FloatArray:
    """(clips, C), by PyTorch, of the square that `focus` cuts."""
    cropper, backbone, found = ClipCropper(View(), "focus"), field_sources().backbone, []
    with av.open(str(video)) as container, torch.inference_mode():
        for number, frame in enumerate(container.decode(video=0)):
            cropper.put(number % 16, frame)
            if number % 16 == 15:
                clip = np.empty((1, 16, 224, 224, 3), np.uint8)
                assert cropper.write(0, clip).focus is not None
                found.append(backbone(torch.from_numpy(clip))[0].numpy())
    return np.stack(found)


def expected(features: FloatArray, seen: Sequence[dict[str, Any]], learnt: object, bundle: Path) -> list[float]:
    """What the clips of these score lines must score, from PyTorch's features and what was learned before."""
    config = CameraConfig(Source("door", "x", live=False), AlarmSettings(0.95, 0.76))
    calibration, head = calibration_of(Bundle.open(bundle).manifest), field_sources().head
    camera = WatchedCamera(config, ModelName("b", "0" * 64, "torch"), calibration=calibration)
    camera.learner.resume(learnt)
    assert head is not None
    scores = []
    for line in seen:
        clip = ClipReady(0, line["clip"], line["start"], line["end"], 0.0, 0)
        window = torch.from_numpy(camera.push(clip, features[line["clip"]][None]))
        with torch.inference_mode():
            raw = head(window[None]).scores[0].numpy()
        assert raw[-1] == pytest.approx(line["raw"], abs=1e-3)
        scores.append(camera.scored(clip, raw, lambda window: np.zeros(len(window), np.float32)).score)
    return scores


def test_live_equals_replay_with_focus_and_calibration_and_a_restart_keeps_what_was_learned(
    tmp_path: Path, field_bundle: Path, mosquitto: Mosquitto
) -> None:
    video, saved = write_video(tmp_path / "video.mp4", PICTURES), tmp_path / "saved.json"
    features = features_of(video)
    replay = ["--replay", "--rtsp", f"door={video}", "--bundle", field_bundle]
    with running(tmp_path, *replay, "--save-calibration", saved, "--scores", tmp_path / "new.jsonl") as service:
        assert service.process.wait(120) == 0
    with running(tmp_path, *replay, "--calibration", saved, "--scores", tmp_path / "replay.jsonl") as service:
        assert service.process.wait(120) == 0
    learnt = json.loads(saved.read_text())["cameras"]["door"]
    new, of_replay = lines(tmp_path / "new.jsonl"), lines(tmp_path / "replay.jsonl")
    assert [line["clip"] for line in of_replay] == list(range(CLIPS))
    wanted = expected(features, of_replay, learnt, field_bundle)
    assert [line["score"] for line in of_replay] == pytest.approx(wanted, abs=1e-3)
    assert of_replay[3]["score"] < new[3]["score"] - 0.1  # it starts from its own level

    subscriber = Subscriber(mosquitto.port)
    camera, live = TestCamera(tmp_path, encode([*PICTURES, *PICTURES])), tmp_path / "live.jsonl"
    arguments = ["--rtsp", f"door={camera.url}", "--bundle", field_bundle, "--mqtt", mosquitto.url, "--http", "off"]
    with camera.running(), running(tmp_path, *arguments, "--calibration", saved, "--scores", live) as service:
        until(lambda: len(lines(live)) >= LIVE, 90, "live clips")
        service.stop(signal.SIGINT)
    seen = [line for line in lines(live) if line["clip"] < CLIPS]
    assert [line["clip"] for line in seen] == list(range(len(seen))) or service.said("cannot keep up")
    assert [line["score"] for line in seen] == pytest.approx(expected(features, seen, learnt, field_bundle), abs=1e-3)
    together = min(next((i for i, line in enumerate(seen) if line["clip"] != i), len(seen)), CLIPS)
    pairs = zip(seen[:together], of_replay[:together], strict=True)
    assert all(abs(one["score"] - other["score"]) <= 1e-3 for one, other in pairs)

    def hours() -> float:
        return float(json.loads(subscriber.last("mgfn/door/calibration/state") or '{"hours": 0}')["hours"])

    assert hours() * 3_600 == pytest.approx(CLIPS * 0.64, abs=2.0)  # as it began
    subscriber.publish("mgfn/door/calibration/state", "", retain=True)
    until(lambda: hours() == 0, what="the emptied topic")
    with running(tmp_path, *arguments) as service:  # the camera is switched off: nothing but memory can tell
        until(lambda: hours() > 0, 60, "the state after a restart")
        assert hours() * 3_600 > (CLIPS + LIVE) * 0.64 - 3.0
        service.stop()
    subscriber.close()


SITE = """
cameras:
  door:
    url: {video}
    alarm: {{threshold_on: {on}, threshold_off: {on}, min_duration: 0, merge_gap: 0, cool_down: 0, hourly_cap: 1}}
"""


def test_alarms_over_the_hourly_cap_are_in_the_file_of_events_and_not_published(
    tmp_path: Path, tiny_bundle: Path, mosquitto: Mosquitto
) -> None:
    video = write_video(tmp_path / "video.mp4", PICTURES)
    scores, events = tmp_path / "s.jsonl", tmp_path / "e.jsonl"
    with running(tmp_path, "--replay", "--rtsp", f"door={video}", "--bundle", tiny_bundle, "--scores", scores) as run:
        assert run.process.wait(120) == 0
    values = [line["score"] for line in lines(scores)]

    def rises(on: float) -> int:
        return sum(now >= on > before for before, now in zip([0.0, *values], values, strict=False))

    threshold = max(values, key=rises)
    assert rises(threshold) >= 3
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(video=video, on=f"{threshold:.6f}"))
    subscriber = Subscriber(mosquitto.port)
    arguments = ["--config", site, "--bundle", tiny_bundle, "--mqtt", mosquitto.url, "--events", events]
    with running(tmp_path, "--replay", *arguments) as run:
        assert run.process.wait(120) == 0
    begun = [event for event in lines(events) if event["type"] == "new"]
    assert [event["suppressed"] for event in begun] == [None] + ["hourly_cap"] * (len(begun) - 1)
    assert len(begun) >= 3
    ended = [event["id"] for event in lines(events) if event["type"] == "end"]
    assert ended == [event["id"] for event in begun]
    until(lambda: any(event["type"] == "end" for event in subscriber.events()), what="the one that is published")
    assert {event["id"] for event in subscriber.events()} == {begun[0]["id"]}
    subscriber.close()
