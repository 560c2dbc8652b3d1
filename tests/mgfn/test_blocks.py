"""The blocks of MGFN against the paper's equations, by hand."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mgfn.blocks import ChannelNorm, FocusSelfConvolution, GlanceAttention


def test_attention_by_hand() -> None:
    """Two clips, two channels; identity projections: the weights are a softmax of dot products (eq. 3 to 5)."""
    attention = GlanceAttention(2)
    with torch.no_grad():
        attention.to_qkv.weight.copy_(torch.eye(2).repeat(3, 1)[:, :, None])
        attention.to_out.weight.copy_(torch.eye(2)[:, :, None])
        assert attention.to_out.bias is not None
        attention.to_out.bias.zero_()
        attention.norm = nn.Identity()  # type: ignore[assignment] # the equations alone
        x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # clip 0 is (1, 0), clip 1 is (0, 2)
        out = attention(x)
    near = np.exp(1 / np.sqrt(2)) / (np.exp(1 / np.sqrt(2)) + 1)
    far = np.exp(4 / np.sqrt(2)) / (np.exp(4 / np.sqrt(2)) + 1)
    expected = [[near, 1 - far], [2 * (1 - near), 2 * far]]
    np.testing.assert_allclose(out[0].numpy(), expected, atol=1e-6)


def test_weightless_focus_by_hand() -> None:
    """Each channel times the mean of its five nearest, nothing learnt (our reading of eq. 6, 7)."""
    focus_block = FocusSelfConvolution(4)
    focus_block.norm = nn.Identity()  # type: ignore[assignment] # the equations alone
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None]
    out = focus_block(x)[0, :, 0]
    expected = [1 * (1 + 2 + 3) / 5, 2 * (1 + 2 + 3 + 4) / 5, 3 * (1 + 2 + 3 + 4) / 5, 4 * (2 + 3 + 4) / 5]
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)
    assert not list(focus_block.parameters())
    assert sum(weight.numel() for weight in FocusSelfConvolution(64).parameters()) == 128  # its normalisation's


def test_channel_norm_has_finite_gradients_at_zero_deviation() -> None:
    """Channels that are all alike, beside a clip whose channels differ."""
    norm = ChannelNorm(3)
    x = torch.tensor([[[7.0, 1.0], [7.0, 2.0], [7.0, 6.0]]], requires_grad=True)
    out = norm(x)
    assert not out[0, :, 0].any()
    out[0, 0].sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    # d out_0 / d x_j = (delta_0j - 1/3) / eps where the deviation is zero
    np.testing.assert_allclose(x.grad[0, :, 0], np.array([2, -1, -1]) / 3 / 1e-5, rtol=1e-4)


def test_channel_norm_gives_the_values_of_the_plain_formula() -> None:
    x = torch.randn(4, 8, 16) * torch.logspace(-20, 3, 16)  # deviations down to where the floor begins
    centred = x - x.mean(dim=1, keepdim=True)
    plain = centred / (centred.square().mean(dim=1, keepdim=True).sqrt() + 1e-5)
    assert torch.equal(ChannelNorm(8)(x), plain)
