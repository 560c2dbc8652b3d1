"""Presets hold the published numbers; wrong configurations are named, all that is wrong at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mgfn.paper import Paper, PaperConfig
from mgfn.released import ReleasedConfig
from mgfn.training.config import PRESETS as PRESETS_FOLDER
from mgfn.training.config import ProblemsError, load_config, preset_names

PRESETS = preset_names()


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_its_network(name: str) -> None:
    with torch.device("meta"):
        load_config(name).network.build(1024)


@pytest.mark.parametrize(("name", "crops", "metric"), [("ucf-crime", 10, "auc"), ("xd-violence", 1, "ap")])
def test_the_papers_presets_are_its_implementation_details(name: str, crops: int, metric: str) -> None:
    """T = 32, P = 10, alpha = 0.1, k = 3, lambda 1, 1, 0.001, Adam 0.001, weight decay 0.0005, 8 + 8 videos."""
    config = load_config(f"paper-{name}")
    with torch.device("meta"):
        head = config.network.build(2048)
    assert head.config == PaperConfig(2048)
    assert PaperConfig(2048).alpha == 0.1
    loss, optimizer = config.loss, config.optimizer
    assert loss.smoothness is not None
    assert loss.sparsity is not None
    assert loss.magnitude is not None
    assert (loss.score, loss.top_k, loss.selection_dropout) == ("cross-entropy", 3, 0.0)
    assert (loss.smoothness.weight, loss.sparsity.weight, loss.magnitude.weight) == (1.0, 1.0, 0.001)
    assert {loss.smoothness.of, loss.sparsity.of} == {"abnormal"}
    assert {loss.smoothness.form, loss.sparsity.form} == {"paper"}
    assert loss.magnitude.form == "contrastive"
    assert (optimizer.name, optimizer.learning_rate, optimizer.weight_decay) == ("adam", 0.001, 0.0005)
    assert (config.videos, config.metric) == (8, metric)
    assert (config.data.layout, config.data.parts, config.data.crops) == (name, 32, crops)


def test_the_released_preset_is_the_released_code() -> None:
    config = load_config("released-ucf-crime")
    with torch.device("meta"):
        assert config.network.build(2048).config == ReleasedConfig()
    loss = config.loss
    assert loss.smoothness is not None
    assert loss.sparsity is not None
    assert loss.magnitude is not None
    assert (loss.top_k, loss.selection_dropout) == (3, 0.7)
    assert (loss.smoothness.weight, loss.smoothness.of, loss.smoothness.form) == (8e-4, "all", "released")
    assert (loss.sparsity.weight, loss.sparsity.of, loss.sparsity.form) == (8e-3, "normal", "released")
    assert (loss.magnitude.form, loss.magnitude.weight, loss.magnitude.margin) == ("contrastive-released", 1.0, 200)
    assert (config.optimizer.learning_rate, config.optimizer.weight_decay) == (1e-3, 5e-4)
    assert (config.videos, config.select) == (16, "test-best")


def test_the_baselines_are_as_published() -> None:
    sultani, rtfm = load_config("sultani"), load_config("rtfm")
    assert sultani.loss.score == "ranking"
    assert sultani.loss.smoothness is not None
    assert sultani.loss.sparsity is not None
    assert (sultani.loss.smoothness.weight, sultani.loss.sparsity.weight) == (8e-5, 8e-5)
    assert (sultani.videos, sultani.optimizer.name, sultani.optimizer.learning_rate) == (30, "adagrad", 1e-3)
    assert rtfm.loss.magnitude is not None
    assert (rtfm.loss.magnitude.form, rtfm.loss.magnitude.weight, rtfm.loss.magnitude.margin) == ("rtfm", 1e-4, 100)
    assert (rtfm.videos, rtfm.optimizer.weight_decay, rtfm.loss.selection_dropout) == (32, 5e-3, 0.7)


def test_the_ablations_differ_in_what_they_are_named_for() -> None:
    for structure in ("GF", "FG", "FF", "GF-fusion"):
        config = load_config(f"ablation-structure-{structure.lower()}")
        with torch.device("meta"):
            assert config.network.build(1024).config == PaperConfig(1024, structure)
        assert config.loss.magnitude is not None
        assert config.loss.magnitude.form == "rtfm"
    for name, alpha, contrast in (("baseline", 0.0, False), ("fam", 0.1, False), ("mc", 0.0, True)):
        config = load_config(f"ablation-{name}")
        with torch.device("meta"):
            head = config.network.build(1024)
        assert isinstance(head, Paper)
        assert (head.config.alpha, config.loss.magnitude is not None) == (alpha, contrast)
    whole, paper = load_config("ablation-fam-mc"), load_config("paper-ucf-crime")
    assert whole.model_copy(update={"data": paper.data}) == paper


def test_small_data_differs_from_the_paper_in_what_its_comment_names() -> None:
    small, paper = load_config("small-data"), load_config("ablation-fam-mc")
    assert small.loss.smoothness is not None
    assert small.loss.sparsity is not None
    assert (small.loss.smoothness.weight, small.loss.sparsity.weight, small.loss.choose) == (8e-4, 8e-3, "score")
    assert small.network == paper.network.model_copy(update={"standardise": True})
    assert small.loss.magnitude is not None
    assert small.loss.magnitude.pairs == "mean"
    terms = {"smoothness": paper.loss.smoothness, "sparsity": paper.loss.sparsity, "choose": "magnitude"}
    summed = small.loss.magnitude.model_copy(update={"pairs": "sum"})
    assert small.loss.model_copy(update={**terms, "magnitude": summed}) == paper.loss
    assert small.model_copy(update={"network": paper.network, "loss": paper.loss, "steps": paper.steps}) == paper


def test_a_preset_by_path_and_by_name_with_changes(tmp_path: Path) -> None:
    assert load_config("configs/train/rtfm.yaml") == load_config("rtfm")
    changed = load_config("rtfm", {"steps": 7, "data.labels": tmp_path / "a.csv"})
    assert (changed.steps, changed.data.labels) == (7, tmp_path / "a.csv")


GOOD = "network: {kind: mgfn}\nloss: {}\noptimizer: {}\nvideos: 8\nsteps: 10\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "network: {kind: mgfn, structure: GG}\nloss: {topk: 3}\noptimizer: {learning_rate: -1}\nvideos: 0\n",
            [
                "network.structure: 'GG'; allowed: 'GF', 'FG', 'FF' or 'GF-fusion'",
                "loss.topk: unknown key, did you mean top_k? Allowed: score, top_k,",
                "optimizer.learning_rate: -1; allowed: greater than 0",
                "videos: 0; allowed: from 1",
                "steps: is missing",
            ],
        ),
        (GOOD.replace("kind: mgfn", "kind: lstm"), ["network.kind: 'lstm'; allowed: bn-wvad, claws, gcl"]),
        (
            GOOD.replace("kind: mgfn", "kind: lstm, alpha: 1, lenght: 3"),
            ["network.kind: 'lstm'; allowed", "network.lenght: unknown key for every kind of network"],
        ),
        (GOOD.replace("kind: mgfn", "alpha: 1"), ["network.kind: None; allowed"]),
        (GOOD.replace("kind: mgfn", "kind: sultani, alpha: 1"), ["network.alpha: unknown key"]),
        (
            GOOD.replace("loss: {}", "loss: {sparsity: {wait: 1}}"),
            ["loss.sparsity.weight: is missing", "wait: unknown"],
        ),
        (GOOD.replace("steps: 10", "steps: .inf"), ["steps: inf; "]),
        (GOOD.replace("loss: {}", "loss: 3"), ["loss: 3; allowed: a valid dictionary"]),
        ("- 1\n", ["holds a list, expected keys and values"]),
        ("a: [", ["not a YAML file"]),
        ("!!python/object/apply:os.getcwd []", ["not a YAML file"]),
    ],
)
def test_wrong_configurations(tmp_path: Path, text: str, says: list[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ProblemsError) as caught:
        load_config(str(path))
    assert len(caught.value.problems) == len(says)
    for part in says:
        assert any(str(path) in line and part in line for line in caught.value.problems), (part, caught.value.problems)


def test_a_row_that_is_not_built_says_why() -> None:
    with pytest.raises(ProblemsError, match="--config sacr: is not built: needs a graph of detected objects"):
        load_config("sacr")


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(ProblemsError, match="--config paper: no such file or preset; presets: ablation-baseline, "):
        load_config("paper")


@pytest.mark.parametrize("preset", ["paper-ucf-crime", "paper-xd-violence", "paper-xd-violence-videoswin"])
def test_the_papers_presets_sum_over_pairs(preset: str) -> None:
    magnitude = load_config(preset).loss.magnitude
    assert magnitude is not None
    assert (magnitude.form, magnitude.pairs, magnitude.weight) == ("contrastive", "sum", 0.001)


def test_only_the_contrastive_form_sums(tmp_path: Path) -> None:
    text = (PRESETS_FOLDER / "paper-ucf-crime.yaml").read_text().replace("form: contrastive,", "form: rtfm,")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ProblemsError, match=r"loss\.magnitude: .*sum needs form: contrastive"):
        load_config(str(tmp_path / "mine.yaml"))
