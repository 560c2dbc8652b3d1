"""The paper's network: its parts by hand, every structure, what cannot be built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mgfn.network import magnitude_of
from mgfn.paper import Paper, PaperConfig, Structure
from tests.mgfn.networks import seeded


def test_amplification_by_hand_and_its_gradient() -> None:
    """f + alpha * Conv1D(|f|) on all C channels (eq. 1, 2)."""
    head = Paper(PaperConfig(2, widths=(2, 2), reduce_kernel=1))
    with torch.no_grad():
        head.to_mag.weight.zero_()
        head.to_mag.weight[0, 0, 1] = 1.0
        assert head.to_mag.bias is not None
        head.to_mag.bias.zero_()
        head.to_tokens.weight.copy_(torch.eye(2)[:, :, None])
        assert head.to_tokens.bias is not None
        head.to_tokens.bias.zero_()
        x = torch.tensor([[[3.0], [4.0]]])
        out = head.reduce(x, magnitude_of(x))
    np.testing.assert_allclose(out[0, :, 0].numpy(), [3.0 + 0.1 * 5.0, 4.0], rtol=1e-6)
    head(torch.rand(1, 4, 1, 2)).scores.sum().backward()
    assert head.to_mag.weight.grad is not None
    assert float(head.to_mag.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("structure", ["GF", "FG", "FF", "GF-fusion"])
@pytest.mark.parametrize("clips", [1, 32])
def test_every_parameter_learns(structure: Structure, clips: int) -> None:
    torch.manual_seed(0)
    head = Paper(PaperConfig(64, structure))
    out = head(torch.rand(2, clips, 3, 64))
    (out.scores.sum() + out.magnitudes.sum() + out.features.square().mean()).backward()
    unmoved = [name for name, value in head.named_parameters() if value.grad is None or not value.grad.abs().any()]
    # one clip attends to itself alone, whatever its query and key are; the rows of `to_qkv` for values still learn
    assert not unmoved
    assert all(bool(value.grad.isfinite().all()) for value in head.parameters() if value.grad is not None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"channels": 0}, "channels 0; must be from 1 to 16384"),
        ({"channels": 32}, "a stage of width 1, allowed 2 to 16384"),
        ({"widths": (8, 1 << 15)}, "a stage of width 32768, allowed 2 to 16384"),
        ({"widths": (200, 8)}, "width 200 does not split evenly into 3 heads"),
        ({"reduce_kernel": 2}, "reduce_kernel 2; must be odd"),
        ({"expansion": 0}, "expansion 0"),
        ({"dropout": 1.0}, r"dropout 1\.0"),
        ({"alpha": float("nan")}, "alpha nan"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PaperConfig(**{"channels": 64} | changes)


def test_a_weightless_focus_block_needs_no_heads() -> None:
    head = seeded(Paper, PaperConfig(8, "FF", widths=(200, 200)))
    assert head(torch.rand(1, 2, 1, 8)).scores.shape == (1, 2)


@pytest.mark.parametrize("structure", ["GF", "FG", "FF", "GF-fusion"])
def test_every_structure_takes_any_window_and_crops(structure: Structure) -> None:
    head = seeded(Paper, PaperConfig(64, structure))
    for clips, crops in ((1, 1), (2, 10), (32, 1)):
        out = head(torch.rand(2, clips, crops, 64))
        assert out.scores.shape == out.magnitudes.shape == (2, clips)
        assert bool(((out.scores >= 0) & (out.scores <= 1)).all())
        assert out.features.shape[:3] == (2, crops, clips)


def test_crops_are_averaged() -> None:
    head = seeded(Paper, PaperConfig(64))
    x = torch.rand(1, 6, 3, 64)
    alone = torch.stack([head(x[:, :, crop : crop + 1]).scores for crop in range(3)])
    torch.testing.assert_close(head(x).scores, alone.mean(dim=0))


def test_the_paper_head_is_small() -> None:
    head = Paper(PaperConfig(1024))
    assert [width for _, width in head.config.stages] == [32, 64]
    assert sum(p.numel() for p in head.parameters()) * 4 < 1 << 20
