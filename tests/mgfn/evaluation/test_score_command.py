"""`mgfn-eval score` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mgfn.released import Released, ReleasedConfig
from tests.mgfn.evaluation.conftest import Run
from tests.mgfn.evaluation.known import UCF, features_of, write_videos
from tests.mgfn.networks import seeded
from tests.mgfn.test_released import SHAPES, released


def test_score(tmp_path: Path, run: Run, head: Path) -> None:
    write_videos(tmp_path / "features", UCF)
    inputs = sorted((tmp_path / "features").glob("*.npy"))
    for _ in range(2):  # scores of an earlier run are replaced
        assert run("score", "--head", head, *inputs, "--out", tmp_path / "new" / "scores") == 0
    assert sorted(path.name for path in (tmp_path / "new" / "scores").iterdir()) == [path.name for path in inputs]
    for name, expected in UCF.items():
        scores = np.load(tmp_path / "new" / "scores" / f"{name}.npy")
        assert (scores.dtype, scores.shape) == (np.float32, (len(expected),))
        np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.slow
def test_a_checkpoint_of_the_released_layout_gives_the_authors_scores(tmp_path: Path, run: Run) -> None:
    """Names and shapes as published, weights seeded, against the direct rendering of the description."""
    config = ReleasedConfig()
    state = seeded(Released, config).state_dict()
    if SHAPES.exists():
        published = json.loads(SHAPES.read_text())
        assert {name: list(value.shape) for name, value in state.items()} == published
    torch.save(state, tmp_path / "mgfn_ucf.pkl")
    rng = np.random.default_rng(0)
    features = {clips: rng.random((clips, 10, 2048), dtype=np.float32) for clips in (32, 77)}
    for clips, array in features.items():
        np.save(tmp_path / f"{clips}.npy", array)
    inputs = [tmp_path / f"{clips}.npy" for clips in features]
    assert run("score", "--head", tmp_path / "mgfn_ucf.pkl", *inputs, "--out", tmp_path / "scores") == 0
    exact = {name: value.numpy().astype(np.float64) for name, value in state.items()}
    for clips, array in features.items():
        scores = np.load(tmp_path / "scores" / f"{clips}.npy")
        assert scores.std() > 1e-4
        np.testing.assert_allclose(scores, released(array.astype(np.float64), exact, config), atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "out", "says"),
    [
        (["a.npy", "deep/a.npy"], "scores", "a.npy given more than once"),
        (["a.npy"], ".", "holds a.npy, which are not scores"),
        (["a.npy"], "a.npy", "is a file; must be a folder"),
        (["a.npy", "wide.npy"], "scores", "wide.npy: shape (2, 3): 3 channels, expected 2"),
        (["a.npy", "none.npy"], "scores", "none.npy: No such file"),
        (["a.npy", "nan.npy"], "scores", "nan.npy: 1 clips hold NaN"),
    ],
)
def test_wrong_inputs_of_score_leave_nothing(
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    head: Path,
    inputs: list[str],
    out: str,
    says: str,
) -> None:
    folder = tmp_path / "features"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/a"):
        np.save(folder / f"{name}.npy", features_of([0.5]))
    np.save(folder / "wide.npy", np.ones((2, 3), np.float32))
    np.save(folder / "nan.npy", np.full((1, 2), np.nan, np.float32))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    paths = [folder / name for name in inputs]
    assert run("score", "--head", head, *paths, "--out", folder / out) == 2
    assert says in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
