"""Several networks that score together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mgfn.checkpoint import CheckpointError, load_head, save_head
from mgfn.extended import Ensemble, Extended, ExtendedConfig, make_extended
from mgfn.paper import PaperConfig

CONFIG = ExtendedConfig(PaperConfig(16, widths=(8, 8)), members=3)


def test_scores_are_the_members_mean_and_survive_the_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = make_extended(CONFIG).eval()
    assert isinstance(head, Ensemble)
    x = torch.rand(2, 5, 1, 16)
    with torch.inference_mode():
        out = head(x)
        expected = torch.stack([member(x).scores for member in head.members]).mean(dim=0)
    torch.testing.assert_close(out.scores, expected)
    assert out.features.shape == (2, 1, 5, 24)
    save_head(tmp_path / "head.safetensors", head, {"note": "a test"})
    again, texts = load_head(tmp_path / "head.safetensors")
    assert texts == {"note": "a test"}
    with torch.inference_mode():
        torch.testing.assert_close(again(x).scores, out.scores)


def test_one_member_is_the_network_itself() -> None:
    assert isinstance(make_extended(dataclasses.replace(CONFIG, members=1)), Extended)


def test_a_checkpoint_of_too_many_members(tmp_path: Path) -> None:
    head = make_extended(dataclasses.replace(CONFIG))
    object.__setattr__(head.config, "members", 10_000)  # past the check of a new configuration
    save_head(tmp_path / "head.safetensors", head, {})
    with pytest.raises(CheckpointError, match="10000 members; must be from 1 to 32"):
        load_head(tmp_path / "head.safetensors")
