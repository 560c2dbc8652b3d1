"""An engine that fails or computes wrongly while cameras are watched: another one takes over, and no clip is lost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from engine.engine import Engine
from engine.errors import BackendError
from stream.alarm.event import ModelName
from stream.camera.messages import ClipReady
from stream.watch import engine_care
from stream.watch.metrics import Metrics
from stream.watch.presence import ENGINE_CHANGED
from stream.watch.reporter import Reporter
from stream.watch.scoring import Scorer
from tests.stream.watch.test_scoring import Kept, watched


class Broken:
    """Wraps the features of a real engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._exact = engine, engine.backend
        self.how = ""

    def features(self, clips: np.ndarray) -> np.ndarray:
        if self.how == "memory":
            raise MemoryError
        if self.how == "exception":
            raise RuntimeError("inference failed")
        return self._exact.features(clips) * np.float32(1.33 if self.how == "wrong" else 1.0)

    def __getattr__(self, name: str) -> object:
        return getattr(self._exact, name)


@pytest.mark.parametrize("how", ["exception", "memory", "wrong"])
def test_the_next_backend_takes_over(tiny_bundle: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    camera, kept = watched("door", 100), Kept()
    with Engine.open(tiny_bundle, "auto", "cpu") as engine:
        broken = Broken(engine)
        monkeypatch.setattr(engine, "backend", broken)
        first = engine.backend.name
        scorer = Scorer(engine, cast(Reporter, kept), Metrics(ModelName("tiny", "0" * 64, first)))
        camera.camera.model = ModelName("tiny", "0" * 64, first)

        def score(number: int) -> None:
            scorer.score([(camera, ClipReady(0, number, number * 0.64, number * 0.64 + 0.64, 0.0, 0))])

        score(0)
        broken.how = how
        if how == "wrong":
            monkeypatch.setattr(scorer._care, "_next_check", 0.0)
            scorer.check([camera])
        score(1)
        assert engine.backend.name != first
        assert [row[3] for row in kept.rows] == [first, engine.backend.name]
        assert kept.rows[1][2] == (1 if how == "wrong" else 2)  # what was computed wrongly is forgotten
        assert camera.camera.status(time.monotonic()) == "degraded"
        assert camera.camera.problem(time.monotonic()) == ENGINE_CHANGED
        scorer.check([camera])  # the next one is in an hour
        assert kept.rows[1][2] == len(camera.camera.window)


def test_where_no_engine_computes_rightly_the_service_ends(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.backends.ORDER_CPU", ("openvino",))
    monkeypatch.setattr(engine_care, "CHECK_EVERY", 0.0)
    with Engine.open(tiny_bundle, "openvino", "cpu", float32=True) as engine:
        broken = Broken(engine)
        monkeypatch.setattr(engine, "backend", broken)
        scorer = Scorer(engine, cast(Reporter, Kept()), Metrics(ModelName("tiny", "0" * 64, "x")))
        scorer.check([])
        broken.how = "wrong"
        engine._failed.append("openvino-int8")
        with pytest.raises(BackendError, match="computes wrongly: its features of the known clip are 33 % off"):
            scorer.check([])
