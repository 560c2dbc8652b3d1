"""Heads saved by the first releases: scores of then, weights under the names of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from mgfn.checkpoint import FORMAT, CheckpointError, load_head, save_head
from mgfn.extended import Extended, ExtendedConfig
from mgfn.flat_layout import FlatConfig, FlatStage
from mgfn.network import HeadConfig
from mgfn.paper import PaperConfig
from mgfn.released import Released, ReleasedConfig
from tests.mgfn.networks import seeded

# Written by the code before the split; each holds the scores that it gave for `FEATURES`.
HEADS = Path(__file__).parent / "flat_layout"
FEATURES = (torch.arange(3 * 64) % 7 / 7).reshape(1, 3, 1, 64)
CONFIGS: dict[str, HeadConfig] = {
    "fusion": PaperConfig(64, "GF-fusion", widths=(4, 4)),
    "relative": ExtendedConfig(
        PaperConfig(64, widths=(2, 4), reduce_kernel=1, dropout=0.5),
        root=True,
        relative=True,
        scene_prior=1.0,
        probes=2,
        smoothing=3,
    ),
    "ensemble": ExtendedConfig(PaperConfig(64, widths=(2, 4)), root=True, members=2),
}
STAGES = [{"kind": "glance", "width": 8, "depth": 1}, {"kind": "focus", "width": 8, "depth": 1}]


@pytest.mark.parametrize("name", CONFIGS)
def test_an_old_head_gives_its_old_scores_also_once_it_is_saved_anew(tmp_path: Path, name: str) -> None:
    head, texts = load_head(HEADS / f"{name}.safetensors")
    assert head.config == CONFIGS[name]
    save_head(tmp_path / "head.safetensors", head, {})
    again, _ = load_head(tmp_path / "head.safetensors")
    with torch.inference_mode():
        scores, of_again = head(FEATURES).scores, again(FEATURES).scores
    np.testing.assert_allclose(scores[0], json.loads(texts["scores"]), atol=1e-6)
    assert torch.equal(scores, of_again)


def test_the_released_network_around_which_features_were_standardised(tmp_path: Path) -> None:
    small = ReleasedConfig(16, widths=(8, 8, 8), depths=(1, 1, 1))
    network = seeded(Released, small)
    weights = network.state_dict() | {"feature_mean": torch.full((16,), 0.2), "feature_deviation": torch.ones(16) * 3}
    stages = [*STAGES, STAGES[1]]
    flat = {"channels": 16, "stages": stages, "amplify_reduced": True, "weightless": False, "standardise": True}
    head, _ = load_head(write(tmp_path, weights, flat))
    assert isinstance(head, Extended)
    assert head.config == ExtendedConfig(small)
    assert head.feature_deviation.tolist() == [3.0] * 16
    for key, value in network.state_dict().items():
        assert torch.equal(head.network.state_dict()[key], value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": "many"}, "configuration channels"),
        ({"stages": [{"kind": "stare", "width": 8, "depth": 1}]}, r"configuration stages\.0\.kind"),
        ({"channels": 1 << 20}, "channels 1048576; must be from 1 to 16384"),
        ({"stages": []}, "configuration as a whole: stages none are neither the paper's network nor the released one"),
        ({"stages": STAGES * 1000}, "stages glance 8 x 1, focus 8 x 1, glance 8 x 1, ... are neither"),
        ({"weightless": False}, "stages glance 8 x 1, focus 8 x 1 are neither"),
        ({"reduce_kernel": 2}, "reduce_kernel 2; must be odd, from 1 to 31"),
        ({"members": 10_000}, "10000 members; must be from 1 to 32"),
    ],
)
def test_a_configuration_of_no_network(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = write(tmp_path, {"x": torch.zeros(1)}, {"channels": 16, "stages": STAGES} | changes)
    with pytest.raises(CheckpointError, match=says):
        load_head(path)


@pytest.mark.parametrize("structure", ["GF", "FG", "FF"])
def test_structures(structure: Any) -> None:
    paper = PaperConfig(64, structure, widths=(8, 16))
    stages = tuple(FlatStage(kind, width, 1) for kind, width in paper.stages)
    assert FlatConfig(64, stages).network == paper


def write(folder: Path, weights: dict[str, torch.Tensor], flat: dict[str, Any]) -> Path:
    texts = {"format": FORMAT, "network": "mgfn", "config": json.dumps(flat)}
    safetensors.torch.save_file(weights, folder / "head.safetensors", texts)
    return folder / "head.safetensors"
