"""What is kept of an alarm's window."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.engine import Engine
from stream.archive.explanation import Explanation, last_picture, read, shares, thumbnail
from stream.base.errors import StreamError


def explanation(length: int = 32) -> Explanation:
    rng = np.random.default_rng(0)
    times = np.stack([np.arange(length) * 0.64, np.arange(1, length + 1) * 0.64], axis=1) + 1_795_466_000.123
    weights = shares(rng.normal(size=length).astype(np.float32))
    pictures = rng.integers(0, 255, (length, 112, 112, 3), dtype=np.uint8)
    return Explanation(times, rng.random((length, 1, 64), dtype=np.float32), weights, 0.91, "/bundles/x", pictures)


@pytest.mark.parametrize("length", [1, 9, 32])
def test_it_is_read_back_to_the_bit(tmp_path: Path, length: int) -> None:
    made, path = explanation(length), tmp_path / "w.npz"
    path.write_bytes(made.packed())
    found = read(path)
    np.testing.assert_array_equal(found.features, made.features)
    np.testing.assert_array_equal(found.times, made.times)
    assert (found.score, found.bundle) == (0.91, "/bundles/x")
    sheet = cv2.imdecode(np.frombuffer(found.strip, np.uint8), cv2.IMREAD_COLOR)
    assert sheet is not None
    assert sheet.shape == (-(-length // 8) * 112, 8 * 112, 3)


def test_the_file_is_small(tmp_path: Path) -> None:
    smooth = np.zeros((32, 112, 112, 3), np.uint8)
    features = np.ones((32, 1, 1024), np.float32)
    made = Explanation(np.zeros((32, 2)), features, np.ones(32, np.float32), 0.9, "b", smooth)
    assert 128 << 10 < len(made.packed()) < 150 << 10


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_what_is_no_window_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "1000.00-abcdef.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StreamError, match=r"1000\.00-abcdef\.npz: (the event's window is not stored|not readable)"):
        read(path)


def test_shares_are_of_what_raised_the_score() -> None:
    np.testing.assert_allclose(shares(np.array([-1.0, 1.0, 3.0], np.float32)), [0, 0.25, 0.75])
    assert shares(np.array([-1.0, -2.0], np.float32)).sum() == 0
    top = explanation().top_clips()
    assert len(top) == 3
    assert top[0].weight > top[1].weight > top[2].weight


def test_a_thumbnail_is_the_last_picture_and_outlives_its_slot() -> None:
    crops = np.zeros((1, 16, 224, 224, 3), np.uint8)
    crops[0, 15] = 200
    look = thumbnail(last_picture(crops))
    crops[:] = 0
    assert look.shape == (112, 112, 3)
    assert (look == 200).all()


def test_contributions_are_differences_of_scores(tiny_bundle: Path) -> None:
    rng = np.random.default_rng(1)
    with Engine.open(tiny_bundle, "onnxruntime", "cpu") as engine:
        window = rng.random((32, 1, 64), dtype=np.float32)
        window[30:] *= 9
        found = engine.contributions(window)
        assert found.shape == (32,)
        hidden = window.copy()
        hidden[7] = np.delete(window, 7, axis=0).mean(axis=0)
        expected = engine.scores([window])[0][-1] - engine.scores([hidden])[0][-1]
        assert found[7] == pytest.approx(expected, abs=1e-4)
        alone = engine.contributions(window[:1])
        assert alone == pytest.approx(engine.scores([window[:1]])[0], abs=1e-6)
