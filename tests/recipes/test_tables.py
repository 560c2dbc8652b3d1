"""The tables' settings and figures; their runs take hours and are not run here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mgfn.training.compose import Stream
from mgfn.training.dataset import LabelledVideo
from recipes.default_head.features import extract
from recipes.tables import __main__ as tables
from recipes.tables.data import Fold
from recipes.tables.default_head import default_head
from recipes.tables.gradients import norms
from recipes.tables.methods import PAIRS, STEPS, TABLES, Method
from recipes.tables.report import streaming, table
from recipes.tables.runs import Scores, keep, kept

METHODS = [method for methods in TABLES.values() for method in methods]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.title)
def test_every_row_is_a_training_run(method: Method) -> None:
    config = method.config(seed=3)
    assert (config.seed, config.videos, config.select) == (3, 8, "last")
    assert config.steps <= STEPS


def test_ablations_learn_by_the_small_data_settings_and_keep_what_they_are_named_for() -> None:
    rows = {method.title: method.config(0) for method in TABLES["losses"]}
    assert rows["baseline"].loss.smoothness is None
    whole = rows["FAM and MC loss"]
    assert whole.loss.smoothness is not None
    assert whole.loss.smoothness.weight == 0.0008
    for config in rows.values():
        assert config.loss.choose == "score"
        assert config.network.model_dump()["standardise"] is True
    assert whole.model_dump(exclude={"steps"}) == TABLES["methods"][2].config(0).model_dump(exclude={"steps"})


def streams() -> list[Stream]:
    labels = np.zeros(40, bool)
    labels[20:25] = True
    return [Stream(np.zeros((40, 1, 1), np.float32), labels, "a"), Stream(labels[:, None, None], ~labels & False, "b")]


def scores(good: bool) -> Scores:
    whole = np.stack([stream.labels * (1.0 if good else 0.0) for stream in streams()]).astype(np.float32)
    return Scores(whole, np.repeat(whole[None], 3, axis=0))


def test_figures_are_means_over_folds_and_spread_over_seeds() -> None:
    held_out = {0: streams(), 1: streams()}
    runs = {(0, 0): scores(True), (1, 0): scores(False), (0, 1): scores(True), (1, 1): scores(True)}
    (*_, line) = table({"row": runs}, held_out)
    # seed 0: 1.0 and 0.5; seed 1: 1.0 and 1.0
    assert line.startswith("| row | 0.875 ± 0.125 |")
    assert line.endswith("| 0.50, 1.00 | 4 |")


def test_streaming_takes_a_folds_threshold_from_the_others() -> None:
    runs = {(fold, 0): scores(True) for fold in range(2)}
    lines = streaming("row", runs, {0: streams(), 1: streams()})
    assert len(lines) == 7
    assert lines[4].startswith("| 0 | 1.000 | 1.000 | 1.00 | 0.64 | 0.0 (")
    assert lines[6].startswith("| 2 | 1.000 | 1.000 | 1.00 | 1.92 | ")


def test_scores_are_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "a" / "0-0.npz") is None
    keep(tmp_path / "a" / "0-0.npz", scores(True))
    found = kept(tmp_path / "a" / "0-0.npz")
    assert found is not None
    np.testing.assert_array_equal(found.live, scores(True).live)


def test_another_backbone_needs_a_cache_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    graph = tmp_path / "backbone-int8.xml"
    given: list[Path] = []

    class StoppedError(Exception):
        """Before anything is extracted."""

    def extracted(_data: Path, _cache: Path, _variants: list[str], form: Path) -> None:
        given.append(form)
        raise StoppedError

    monkeypatch.setattr(tables, "extract", extracted)
    monkeypatch.setattr("recipes.tables.default_head.extract", extracted)
    monkeypatch.setattr("sys.argv", ["tables", "default-head", "--graph", str(graph)])
    with pytest.raises(SystemExit) as stop:
        tables.main()
    assert stop.value.code == 2
    assert f"--graph {graph}: " in capsys.readouterr().err
    with pytest.raises(StoppedError):
        default_head(tmp_path, tmp_path, graph)
    assert given == [graph]


def test_extracting_leaves_the_threads_that_were_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("recipes.default_head.features.Extractor", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        extract(tmp_path, tmp_path, [])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_the_sum_over_pairs_pulls_some_sixty_times_as_strongly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    videos = []
    for index in range(16):
        np.save(tmp_path / f"{index}.npy", rng.random((32, 1, 64), np.float32) * (1 + index % 2))
        videos.append(LabelledVideo(f"{index}", (tmp_path / f"{index}.npy",), bool(index % 2), "train"))
    fold = Fold(tmp_path, videos, [], [])
    summed, averaged = (norms(method.config(0), fold, seed=0) for method in PAIRS)
    assert set(summed) == {"cross-entropy", "smoothness", "sparsity", "magnitude"}
    assert 56 <= summed["magnitude"] / averaged["magnitude"] <= 64.1  # pairs within a class and between the classes
    assert summed["sparsity"] == averaged["sparsity"]
