"""An alarm of a running service, computed again from what was kept of it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest
from av import VideoFrame

from engine.arrays import FloatArray
from engine.engine import Engine
from stream.archive.explanation import StoredExplanation, read
from stream.archive.media import media_path
from stream.archive.store import Store
from stream.base.errors import StreamError
from stream.camera.clip_file import FIRST_PICTURE
from stream.camera.view import View
from stream.lookback.reproduction import FRAMES_ENCODED_AGAIN, _error, _matched, reproduce
from stream.lookback.saved_clip import SavedClip
from tests.servers.processes import until
from tests.servers.rtsp import write_video
from tests.servers.service import lines, running
from tests.stream.lookback.recordings import damage, write_recording

pytestmark = pytest.mark.slow


MASKS: Final = "masks: [[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]]"
CAMERAS: Final[dict[str, tuple[Callable[[Path], Path], str]]] = {
    "plain": (partial(write_recording, rate=25, rate_later=25), ""),
    "masked": (partial(write_recording, rate=25, rate_later=25), MASKS),
    "saved-whole": (partial(write_recording, rate=25, rate_later=25), f"{MASKS}, mask_saved: false"),
    "fast-50": (partial(write_recording, rate=50, rate_later=50), ""),
    "fast-60": (partial(write_recording, rate=60, rate_later=60), ""),
    "few-wanted": (partial(write_recording, rate=25, rate_later=25), "fps: 10"),
    "reordered": (partial(write_recording, rate=25, rate_later=25, reordered=True), ""),
    "reordered-fast": (partial(write_recording, rate=50, rate_later=50, reordered=True), ""),
    "faster-later": (partial(write_recording, rate=25, rate_later=50), ""),
    "slower-later": (partial(write_recording, rate=60, rate_later=25), ""),
    "damaged": (lambda path: damage(write_recording(path, 25, 25)), ""),
    "damaged-fast": (lambda path: damage(write_recording(path, 50, 50)), ""),
}
"""Recordings by the name of their camera, and the camera's settings in the site file."""


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> tuple[Path, dict[str, str]]:
    """A data folder and the ids of the alarms in it, one for each camera of `CAMERAS`.

    Their thresholds were set from outside while the service ran.
    """
    folder = tmp_path_factory.mktemp("alarmed")
    scores, site = folder / "s.jsonl", folder / "site.yaml"
    defaults = "defaults: {region: {x: 0, y: 0, width: 0.9, height: 1}, clip: {pre_roll: 10}}\ncameras:\n"
    cameras = [f"  {name}: {{url: {write(folder / f'{name}.mp4')}, {more}}}" for name, (write, more) in CAMERAS.items()]
    site.write_text(defaults + "\n".join(cameras))
    arguments = ["--config", site, "--bundle", tiny_bundle, "--scores", scores, "--http", "off"]

    waiting = set(CAMERAS)

    def all_may_ring() -> bool:
        """Whether all cameras have shown twelve seconds; those that have may ring."""
        seen = lines(scores)
        ends = {line["camera"]: line["end"] for line in seen}
        starts = {line["camera"]: line["start"] for line in reversed(seen)}
        if ready := {name for name in waiting & ends.keys() if ends[name] - starts[name] > 12}:
            with Store.beside(folder / "data") as store:
                for name in ready:
                    store.settings.set(name, "threshold", "0")
            waiting.difference_update(ready)
        return not waiting

    with running(folder, *arguments, "--threshold", "1") as service:
        until(all_may_ring, 120, "twelve seconds of each recording")
        until(lambda: service.process.poll() is not None, 60, "the recordings' end")
    with Store.read_only(folder / "data") as store:
        events = {event.message.camera: event.message.id for event in store.events.since(0.0)}
    assert events.keys() == CAMERAS.keys()
    return folder / "data", events


def again(data: Path, event: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream.cli.mgfn_events", "reproduce", event, "--data", str(data)]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_it_agrees_on_the_same_engine_and_across_engines(alarmed: tuple[Path, dict[str, str]]) -> None:
    data, events = alarmed
    for backend, limit, error in ((None, 1e-3, 1e-5), ("onnxruntime", 2e-2, 2e-2)):
        done = again(data, events["plain"], "--json", *(("--backend", backend) if backend else ()))
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["agrees"] is True
        assert found["encoded_again"] is False
        assert found["limit"] == found["frames_limit"] == limit
        assert found["compared"] >= 6
        assert found["error"] < error
        for score in (found["again"], found["from_pictures"]):
            assert score == pytest.approx(found["recorded"], abs=limit)
    said = again(data, events["plain"]).stdout
    assert "they agree" in said
    assert "encoded again" not in said


def test_a_masked_clip_has_a_limit_of_its_own(alarmed: tuple[Path, dict[str, str]], tiny_bundle: Path) -> None:
    data, events = alarmed
    for backend in (None, "onnxruntime"):
        done = again(data, events["masked"], "--json", *(("--backend", backend) if backend else ()))
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["agrees"] is True
        assert found["encoded_again"] is True
        assert found["frames_limit"] == FRAMES_ENCODED_AGAIN
        assert found["compared"] >= 6
        assert found["error"] > 1e-5
        assert 0 < found["typical_distance"] < FRAMES_ENCODED_AGAIN
        assert found["again"] == pytest.approx(found["recorded"], abs=found["limit"])
    window = read(media_path(data / "media", events["masked"], "window"))
    short = dataclasses.replace(
        window, times=window.times[-2:], features=window.features[-2:], weights=window.weights[-2:]
    )
    with Engine.open(tiny_bundle, "openvino", "cpu") as engine:
        few = reproduce(engine, short, engine.backend.name, media_path(data / "media", events["masked"], "clip"))
    assert few.compared == 0
    assert few.no_pictures == "the saved clip was encoded again, which needs 3 clips, and holds 2"
    said = again(data, events["masked"]).stdout
    assert "was encoded again (masks). Its frames only resemble those that the model saw" in said
    assert "they agree" in said


@pytest.mark.parametrize("camera", [name for name in CAMERAS if name != "masked"])
def test_the_frames_are_those_that_the_model_saw(
    alarmed: tuple[Path, dict[str, str]], tiny_bundle: Path, camera: str
) -> None:
    data, events = alarmed
    window, clip = (media_path(data / "media", events[camera], kind) for kind in ("window", "clip"))
    with Engine.open(tiny_bundle, "openvino", "cpu") as engine:
        found = reproduce(engine, read(window), engine.backend.name, clip)
    assert found.no_pictures == ""
    assert found.compared >= (4 if camera == "few-wanted" else 6)
    assert found.error < 1e-5
    assert not found.encoded_again
    assert found.agrees


def test_another_arithmetic_is_searched_for_once() -> None:
    rng, asked = np.random.default_rng(0), []
    features = rng.normal(size=(200, 1, 64)).astype(np.float32)  # by first picture
    epochs = np.arange(200) / 25
    firsts = np.arange(20, 148, 16)
    times = np.stack([epochs[firsts] - 3 / 25, epochs[firsts] + 13 / 25], axis=1)  # the clock was off by three pictures
    window = StoredExplanation(times, features[firsts], np.zeros(8, np.float32), 0.9, "b", b"", View())
    frames = [VideoFrame(16, 16) for _ in epochs]

    def feature(clip: Sequence[VideoFrame]) -> FloatArray:
        asked.append(frames.index(clip[0]))
        return np.asarray(features[asked[-1]] * (1 + 0.06 * rng.normal(size=(1, 64))), np.float32)

    found = dict(_matched(window, SavedClip(epochs, frames, False), feature, exact=False))
    assert sorted(found) == list(range(8))
    assert max(_error(features[firsts[i]], found[i]) for i in found) < 0.1
    assert len(asked) < 17 + 7 * 3


def test_a_clip_of_other_frames_does_not_lead_the_next_ones_astray() -> None:
    rng = np.random.default_rng(0)
    features = np.cumsum(rng.normal(size=(200, 1, 64)), axis=0).astype(np.float32)  # neighbours resemble each other
    epochs, firsts = np.arange(200) / 25, np.arange(20, 148, 16)
    times = np.stack([epochs[firsts], epochs[firsts] + 16 / 25], axis=1)
    recorded = features[firsts].copy()
    recorded[0] = features[firsts[0] - 5] + 2 * rng.normal(size=(1, 64))  # it saw other frames, most like earlier ones
    window = StoredExplanation(times, recorded, np.zeros(8, np.float32), 0.9, "b", b"", View())
    frames = [VideoFrame(16, 16) for _ in epochs]
    found = dict(_matched(window, SavedClip(epochs, frames, False), lambda c: features[frames.index(c[0])], exact=True))
    assert [_error(recorded[i], found[i]) for i in range(1, 8)] == [0.0] * 7


def test_what_is_gone_is_said(alarmed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    kept, event = alarmed[0], alarmed[1]["plain"]
    data = shutil.copytree(kept, tmp_path / "data")
    (data / "media" / f"{event}.mp4").unlink()
    done = again(data, event)
    assert done.returncode == 0
    assert "frames not compared: the event's clip is not stored" in done.stdout
    done = again(data, event, "--bundle", tmp_path)
    assert done.returncode == 2
    assert "the event's bundle (SHA-256" in done.stderr
    (data / "media" / f"{event}.npz").unlink()
    done = again(data, event)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the event's window is not stored" in done.stderr
    for wrong in ("1000.00-abcdef", "../../etc/passwd", "", "' OR 1=1 --"):
        done = again(data, wrong)
        assert done.returncode == 2
        assert "no such event" in done.stderr


@pytest.mark.parametrize("camera", ["plain", "masked"])
def test_pictures_of_another_scene_differ(
    alarmed: tuple[Path, dict[str, str]], tmp_path: Path, tiny_bundle: Path, camera: str
) -> None:
    data, events = alarmed
    window = read(media_path(data / "media", events[camera], "window"))
    black = [np.zeros((240, 320, 3), np.uint8)] * 300
    write_video(tmp_path / "silent.mp4", black)
    with av.open(str(tmp_path / "silent.mp4")) as source, av.open(str(tmp_path / "black.mp4"), "w") as target:
        target.metadata["comment"] = f"{FIRST_PICTURE}{window.times[-1, 1] - 10}"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with Engine.open(tiny_bundle, "openvino", "cpu") as engine:
        found = reproduce(engine, window, engine.backend.name, tmp_path / "black.mp4")
        assert found.compared > 3
        assert found.encoded_again is (camera == "masked")  # the clip itself does not say, as if of an earlier version
        assert not found.agrees
        unmarked = reproduce(engine, window, engine.backend.name, tmp_path / "silent.mp4")
        assert "has no start time" in unmarked.no_pictures
        with pytest.raises(StreamError, match="it is not the bundle that scored the event"):
            reproduce(engine, dataclasses.replace(window, features=window.features[..., :8]), "x", None)
