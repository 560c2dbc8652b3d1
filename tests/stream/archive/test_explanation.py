"""What is kept of an alarm's window."""

from __future__ import annotations

import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arrays import FloatArray
from engine.engine import Engine
from stream.archive.explanation import Explanation, last_picture, read, shares, thumbnail
from stream.base.errors import StreamError


def explanation(length: int = 32) -> Explanation:
    rng = np.random.default_rng(0)
    times = np.stack([np.arange(length) * 0.64, np.arange(1, length + 1) * 0.64], axis=1) + 1_795_466_000.123
    weights = shares(rng.normal(size=length).astype(np.float32))
    pictures = rng.integers(0, 255, (length, 112, 112, 3), dtype=np.uint8)
    return Explanation(times, rng.random((length, 1, 64), dtype=np.float32), weights, 0.91, "/bundles/x", pictures)


SMALL = explanation(2).packed()


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


def test_contributions_pass_the_head_no_more_at_once_than_the_engine_takes_well(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new number of windows would cost OpenVINO memory for each length: 590 MB with the default model."""
    with Engine.open(tiny_bundle, "openvino") as engine:
        run, seen = engine.backend.scores, set[int]()

        def spied(windows: FloatArray) -> FloatArray:
            seen.add(len(windows))
            return run(windows)

        monkeypatch.setattr(engine.backend, "scores", spied)
        engine.contributions(np.random.default_rng(3).random((7, 1, 64), dtype=np.float32))
        assert seen == {engine.backend.batch} == {1}


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


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
@settings(deadline=None)
def test_a_window_that_a_hostile_decoder_changed_is_read_or_refused(place: int, noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "1000.00-abcdef.npz"
        changed = bytearray(SMALL)
        place = place % len(changed) if place % 2 else len(changed) - 1 - place % 2_000
        changed[place : place + len(noise)] = noise
        path.write_bytes(changed)
        with suppress(StreamError):
            read(path)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("hostile-was-here",)


@pytest.mark.slow
def test_pickles_bombs_and_lies_in_a_window_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "1000.00-abcdef.npz"
    good = dict(np.load(io.BytesIO(SMALL)))
    trap = np.array([Trap()], dtype=object)
    lie = io.BytesIO()
    np.lib.format.write_array_header_1_0(lie, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50,)})
    np.savez(path, allow_pickle=True, **good | {"times": trap})
    with pytest.raises(StreamError, match="not readable as an event's window"):
        read(path)
    np.savez_compressed(path, **good | {"features": np.zeros((32, 1, 1 << 20), np.float32)})
    with pytest.raises(StreamError, match="not readable as an event's window"):
        read(path)
    with zipfile.ZipFile(path, "w") as file:
        for name in good:
            file.writestr(f"{name}.npy", lie.getvalue())
    with pytest.raises(StreamError, match="not readable as an event's window"):
        read(path)
    assert not (tmp_path / "hostile-was-here").exists()
