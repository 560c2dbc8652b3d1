"""The trunk that UR-DMU and BN-WVAD share: a convolution over three clips and two transformer layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mgfn.baselines.base import steps_apart


class TwoMaps(nn.Module):
    """Attention of learned weights beside one by distance in time alone: (B, T, D) -> (B, T, D).

    The second map is exp(-|i - j| / e), each row divided by its sum. Both act on their own values; outputs are joined.
    """

    def __init__(self, width: int, heads: int, head_width: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        inner = heads * head_width
        self.project = nn.Linear(width, 4 * inner, bias=False)
        self.out = nn.Sequential(nn.Linear(2 * inner, width), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.project(x).unflatten(2, (4, self.heads, self.head_width)).permute(2, 0, 3, 1, 4)
        q, k, v, near = parts.unbind(0)  # each (B, heads, T, head_width)
        learned = (q @ k.transpose(2, 3) / math.sqrt(self.head_width)).softmax(dim=3) @ v
        closeness = torch.exp(-steps_apart(x.shape[1], x.device) / math.e)
        fixed = closeness / closeness.sum(dim=1, keepdim=True) @ near
        joined: Tensor = self.out(torch.cat([learned, fixed], dim=3).transpose(1, 2).flatten(2))
        return joined


class Layer(nn.Module):
    """Pre-normalised `TwoMaps` and a feed-forward network of the same width."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = TwoMaps(width, heads, max(1, width // heads), dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Trunk(nn.Module):
    """(B, T, C) -> (B, T, width)."""

    def __init__(self, channels: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv1d(channels, width, 3, padding=1), nn.ReLU())
        self.layers = nn.Sequential(*(Layer(width, heads, dropout) for _ in range(2)))

    def forward(self, bags: Tensor) -> Tensor:
        out: Tensor = self.layers(self.embed(bags.transpose(1, 2)).transpose(1, 2))
        return out
