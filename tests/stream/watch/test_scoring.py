"""Which kind of incident an event names, and what becomes of clips for which the engine returns no finite numbers."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from engine.arrays import FloatArray, UInt8Array
from engine.backends.base import Backend
from engine.bundle import Bundle
from engine.engine import Engine
from stream.alarm.event import ModelName
from stream.alarm.rule import AlarmSettings
from stream.base.addresses import Source
from stream.camera.messages import CameraState, ClipReady, StateChanged
from stream.settings.settings import CameraConfig
from stream.watch.decoder_process import DecoderProcess
from stream.watch.engine_care import TOO_MANY
from stream.watch.metrics import _LOST, Metrics
from stream.watch.presence import UNSCORABLE
from stream.watch.reporter import Reporter
from stream.watch.scoring import Scorer, kind_of
from stream.watch.watched_camera import Scored, WatchedCamera
from tests.bundles import CHANNELS, KINDS

WINDOW = np.zeros((2, 1, 4), np.float32)


def engine(shares: tuple[float, ...], claimed: tuple[str, ...]) -> Engine:
    def kind_shares(window: FloatArray) -> FloatArray:
        assert claimed, "a bundle that claims none is not asked"
        assert window is WINDOW
        return np.array([(1.0, 0.0, 0.0), shares], np.float32)

    manifest = SimpleNamespace(kinds=KINDS, claimed_kinds=claimed)
    return cast(Engine, SimpleNamespace(manifest=manifest, kind_shares=kind_shares))


@pytest.mark.parametrize(
    ("shares", "claimed", "kind"),
    [
        ((0.1, 0.8, 0.1), KINDS, "fall"),
        ((0.75, 0.2, 0.05), ("violence",), "violence"),
        ((0.45, 0.5, 0.05), KINDS, "unknown"),  # none stands out
        ((0.1, 0.8, 0.1), ("violence",), "unknown"),  # sources left out did not bear it out
        ((0.1, 0.8, 0.1), (), "unknown"),
    ],
)
def test_a_kind_is_named_if_it_stands_out_and_may_be_claimed(
    shares: tuple[float, ...], claimed: tuple[str, ...], kind: str
) -> None:
    assert kind_of(WINDOW, engine(shares, claimed)) == kind


class Cracked:
    """A backend that returns NaN for dark clips, or for windows whose newest feature is dark."""

    name, batch, precision = "cracked", 4, "float32"

    def __init__(self, *, head: bool) -> None:
        self._head = head
        self.closed = False

    def features(self, clips: UInt8Array) -> FloatArray:
        means = clips.reshape(len(clips), -1).mean(axis=1)
        rows = np.repeat(means[:, None], CHANNELS, axis=1).astype(np.float32)
        return rows if self._head else np.where(rows < 50, np.float32(np.nan), rows)

    def scores(self, windows: FloatArray) -> FloatArray:
        newest = windows[:, -1:, 0, 0]
        scores = np.where(newest < 50, np.float32(np.nan), np.float32(0.25))
        return np.repeat(scores, windows.shape[1], axis=1)

    def parts(self, _windows: FloatArray) -> FloatArray:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


class Kept:
    """Keeps what the scorer reports."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, int, str]] = []

    def scored(self, decoder: DecoderProcess, scored: Scored, _clip: ClipReady) -> None:
        camera = decoder.camera
        self.rows.append((camera.name, scored.score, scored.window, camera.model.backend))


def watched(name: str, shade: int) -> DecoderProcess:
    config = CameraConfig(Source(name, "rtsp://h/1", live=True), AlarmSettings(0.9, 0.8))
    camera = WatchedCamera(config, ModelName("tiny", "0" * 64, "cracked"))
    camera.changed(StateChanged(CameraState.ONLINE, 0))
    clips = np.full((5, 1, 16, 224, 224, 3), shade, np.uint8)
    return cast(
        DecoderProcess,
        SimpleNamespace(camera=camera, ring=SimpleNamespace(clips=clips), give_back=lambda _slot: None),
    )


@pytest.mark.parametrize("head", [False, True])
def test_clips_without_finite_numbers_are_dropped_and_in_the_end_another_engine_scores(
    tiny_bundle: Path, head: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, kept, metrics = Cracked(head=head), Kept(), Metrics(ModelName("tiny", "0" * 64, "cracked"))
    dark, light = watched("dark", 10), watched("light", 200)
    with Engine(Bundle.open(tiny_bundle), cast(Backend, backend), "a test", "cpu") as engine:
        scorer = Scorer(engine, cast(Reporter, kept), metrics)
        for number in range(TOO_MANY + 2):
            clip = ClipReady(0, number, number * 0.64, number * 0.64 + 0.64, 0.0, 0)
            scorer.score([(dark, clip), (light, clip)])
            if number == 0:
                assert dark.camera.status(time.monotonic()) == "degraded"
                assert dark.camera.problem(time.monotonic()) == UNSCORABLE
                assert light.camera.status(time.monotonic()) == "warming"
        assert backend.closed
        assert engine.backend.name.startswith("openvino")
    by_camera = {name: [row[1:] for row in kept.rows if row[0] == name] for name in ("dark", "light")}
    assert [row[1:] for row in by_camera["dark"]] == [(1, engine.backend.name), (2, engine.backend.name)]
    assert [row[:2] for row in by_camera["light"]][:TOO_MANY] == [(0.25, n + 1) for n in range(TOO_MANY)]
    assert by_camera["light"][-1][2] == engine.backend.name
    assert all(np.isfinite(row[1]) for row in kept.rows)
    assert dict(dark.camera.health(0.0))["unscorable_clips"] == TOO_MANY
    assert b'mgfn_clips_unscorable_total{camera="dark"} 8.0' in metrics.exposition(0, dict.fromkeys(_LOST, 0))
    said = "".join(capsys.readouterr())
    assert said.count("clips dropped") == 1
    assert said.count("too many clips were dropped") == 1


def test_where_there_is_no_other_engine_clips_go_on_being_dropped(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.backends.ORDER_CPU", ())
    dark = watched("dark", 10)
    with Engine(Bundle.open(tiny_bundle), cast(Backend, Cracked(head=False)), "a test", "cpu") as engine:
        scorer = Scorer(engine, cast(Reporter, Kept()), Metrics(dark.camera.model))
        for number in range(3 * TOO_MANY):
            scorer.score([(dark, ClipReady(0, number, number, number + 1, 0.0, 0))])
    assert dict(dark.camera.health(0.0))["unscorable_clips"] == 3 * TOO_MANY
    assert "".join(capsys.readouterr()).count("no engine works on this machine except cracked") == 1
