"""An engine that is too slow for a while: cameras that are alike give up equal shares, and then it is over."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arrays import UInt8Array
from engine.engine import Engine
from stream.alarm.rule import AlarmSettings
from stream.archive.store import Store
from stream.base.addresses import Source
from stream.service.service import Service
from stream.settings.settings import CameraConfig, ServiceSettings
from stream.sinks.mqtt_client import TlsFiles
from tests.servers.processes import until
from tests.servers.rtsp import moving_pictures, write_video

pytestmark = pytest.mark.slow

CAMERAS = ("a", "b", "c")


@pytest.fixture
def slow_engine(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real engine whose backbone takes half a second for a clip until `cost` is set to 0."""
    with Engine.open(tiny_bundle, "openvino", "cpu") as engine:
        exact, state = engine.features, {"cost": 0.5}

        def features(clips: UInt8Array) -> Any:
            time.sleep(state["cost"] * len(clips))
            return exact(clips)

        monkeypatch.setattr(engine, "features", features)
        yield engine, state


def test_overload_is_shared_said_and_over(tmp_path: Path, slow_engine: Any) -> None:
    engine, state = slow_engine
    video = write_video(tmp_path / "video.mp4", moving_pictures(25 * 30))
    cameras = tuple(
        CameraConfig(Source(name, str(video), live=False), AlarmSettings(1.0, 1.0, hourly_cap=0)) for name in CAMERAS
    )
    scores = tmp_path / "scores.jsonl"
    settings = ServiceSettings(cameras, None, TlsFiles(), "mgfn", "node", False, scores, tmp_path)
    with Store.in_memory(tmp_path) as store:
        service = Service(settings, engine, store, None)
        thread = threading.Thread(target=service.run)
        thread.start()
        try:
            until(lambda: service.parts and len(service.parts.decoders) == len(CAMERAS), what="the cameras")
            assert service.parts is not None
            decoders = service.parts.decoders
            watched = [decoder.camera for decoder in decoders]
            until(lambda: all(c.presence.shed_clips for c in watched), what="overload of all three")
            assert {camera.status(time.monotonic()) for camera in watched} == {"degraded"}
            before = [c.presence.shed_clips for c in watched]
            until(lambda: sum(c.presence.shed_clips for c in watched) >= sum(before) + 9, what="more of it")
            gave = [c.presence.shed_clips - earlier for c, earlier in zip(watched, before, strict=True)]
            assert min(gave) >= 1  # whoever is nearer to an alarm is served first, but nobody bears it alone
            state["cost"] = 0.0
            until(lambda: not any(decoder.pending_clips for decoder in decoders), what="what waited being scored")
            gave = [c.presence.shed_clips for c in watched]
            thread.join(60)  # the recordings' end
            assert sum(c.presence.shed_clips for c in watched) <= sum(gave) + 3  # a pause of the machine sheds, too
            assert all(camera.status(time.monotonic() + 40) != "degraded" for camera in watched)
        finally:
            service.stop()
            thread.join(10)
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    scored = Counter(line["camera"] for line in lines)
    assert min(scored.values()) >= 0.75 * max(scored.values())  # other work on the machine makes decoders late, too
    for name in CAMERAS:
        clips = [line["clip"] for line in lines if line["camera"] == name]
        assert clips == sorted(clips)
        assert np.sum(np.diff(clips)[-10:] == 1) >= 8  # hardly any is missing any more
