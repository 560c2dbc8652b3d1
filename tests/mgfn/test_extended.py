"""What stands around a network: normalised inputs, smoothed scores."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from mgfn.extended import Extended, ExtendedConfig
from mgfn.network import magnitude_of
from mgfn.paper import Paper, PaperConfig
from tests.mgfn.networks import seeded


def test_standardising_leaves_the_magnitude_raw() -> None:
    head = Extended(ExtendedConfig(PaperConfig(2, widths=(2, 2), reduce_kernel=1)))
    network = head.network
    assert isinstance(network, Paper)
    with torch.no_grad():
        network.to_mag.weight.copy_(torch.tensor([0.0, 1.0, 0.0]).expand(2, 1, 3))
        network.to_tokens.weight.copy_(torch.eye(2)[:, :, None])
        assert network.to_mag.bias is not None
        assert network.to_tokens.bias is not None
        network.to_mag.bias.zero_()
        network.to_tokens.bias.zero_()
        head.feature_mean.copy_(torch.tensor([1.0, 2.0]))
        head.feature_deviation.copy_(torch.tensor([2.0, 4.0]))
        x = torch.tensor([[[3.0], [4.0]]])
        out = network.reduce(head.standardised(x), magnitude_of(x))
    np.testing.assert_allclose(out[0, :, 0].numpy(), [1.0 + 0.5, 0.5 + 0.5], rtol=1e-6)


def test_relative_features_are_roots_less_the_scene() -> None:
    config = ExtendedConfig(PaperConfig(2, widths=(2, 2)), root=True, relative=True, scene_prior=2.0)
    head = Extended(config)
    head.feature_mean.copy_(torch.tensor([1.0, 2.0]))
    seen = head.normalised(torch.tensor([[[4.0, 16.0], [0.0, -9.0]]]))[0]
    # scene: (2 + 4 + 2 * 1) / 4 = 2 and (0 - 3 + 2 * 2) / 4 = 0.25
    np.testing.assert_allclose(seen.numpy(), [[0.0, 2.0], [-0.25, -3.25]])
    alone = head.normalised(torch.tensor([[[4.0], [4.0]]]))[0]
    np.testing.assert_allclose(alone.numpy(), [[2 - 4 / 3], [0.0]], rtol=1e-6)


def test_smoothing_is_the_mean_of_the_clips_so_far() -> None:
    head = seeded(Extended, ExtendedConfig(PaperConfig(64)))
    smoothed = Extended(dataclasses.replace(head.config, smoothing=3)).eval()
    smoothed.load_state_dict(head.state_dict())
    x = torch.rand(2, 5, 1, 64)
    s = head(x).scores
    padded = torch.cat([s[:, :1], s[:, :1], s], dim=1)
    torch.testing.assert_close(smoothed(x).scores, (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3)
    torch.testing.assert_close(smoothed(x[:, :1]).scores, head(x[:, :1]).scores)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"members": 0}, "0 members; must be from 1 to 32"),
        ({"smoothing": 0}, "smoothing 0, probes 0; must be from 1 to 32"),
        ({"probes": 33}, "smoothing 1, probes 33"),
        ({"scene_prior": 0.0}, r"scene_prior 0\.0"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ExtendedConfig(PaperConfig(64), **changes)
