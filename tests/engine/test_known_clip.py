"""The clip whose answer is known: right backends give it, wrong ones are found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arrays import FloatArray
from engine.backends.openvino import OpenVinoBackend
from engine.bundle import Bundle
from engine.engine import Engine
from engine.errors import BackendError, BundleError
from engine.known_clip import ANSWER, Answer, known_clip
from tests.bundles import copy_bundle


@pytest.mark.parametrize("backend", ["openvino", "openvino-int8", "onnxruntime"])
def test_every_backend_gives_the_answer_in_the_bundle(tiny_bundle: Path, backend: str) -> None:
    with Engine.open(tiny_bundle, backend, "cpu") as engine:
        assert engine.fault() == ""


def test_the_clip_is_the_same_everywhere() -> None:
    clip = known_clip(2)
    assert clip.shape == (2, 16, 224, 224, 3)
    assert clip.dtype == np.uint8
    assert int(clip.sum(dtype=np.int64)) == 2 * int(clip[0].sum(dtype=np.int64)) == 501371904


def third_more(self: Any, clips: Any, exact: Any = OpenVinoBackend.features) -> FloatArray:
    return np.asarray(exact(self, clips) * np.float32(1.33))


def raises(self: Any, clips: Any) -> FloatArray:
    raise RuntimeError("first line\nExecution of the graph failed")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (third_more, "its features of the known clip are 33 % off"),
        (raises, "RuntimeError: Execution of the graph"),
    ],
)
def test_a_backend_that_computes_wrongly_at_the_start_is_passed_over(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, broken: Any, said: str
) -> None:
    monkeypatch.setattr(OpenVinoBackend, "features", broken)
    with Engine.open(tiny_bundle, "auto", "cpu") as engine:
        assert engine.backend.name == "onnxruntime"
        assert said in engine.reason
    with pytest.raises(BackendError, match=said):
        Engine.open(tiny_bundle, "openvino", "cpu")


def test_a_bundle_without_the_answer_is_compared_with_its_first_one(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert Answer.of(bundle) is not None
    del bundle.manifest.files[ANSWER]
    assert Answer.of(bundle) is None
    with Engine.open(tiny_bundle, "openvino", "cpu") as opened:
        engine = Engine(bundle, opened.backend, "a test")
        assert engine.fault() == ""
        monkeypatch.setattr(OpenVinoBackend, "features", third_more)
        assert "33 % off" in engine.fault()
        engine.give_way()
        opened.backend = engine.backend  # the old one is closed
        assert engine.fault() == ""  # the next backend is compared with itself


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY garbage"])
def test_an_answer_that_cannot_be_read_is_named(tiny_bundle: Path, tmp_path: Path, content: bytes) -> None:
    damaged = copy_bundle(tiny_bundle, tmp_path / "damaged", False, **{ANSWER: content})
    with pytest.raises(BundleError, match=rf"damaged: {ANSWER} cannot be read"):
        Engine.open(damaged)


def test_a_score_that_is_wrong_is_found_out() -> None:
    right = Answer(np.ones((1, 4), np.float32), 0.5)
    assert right.fault(Answer(right.features, 0.5005), "float32") == ""
    assert right.fault(Answer(right.features, 0.55), "int8") == ""
    assert "0.5500 instead of 0.5000" in right.fault(Answer(right.features, 0.55), "float32")
    assert "off" in right.fault(Answer(right.features * np.float32("nan"), 0.5), "int8")
