"""RTFM (Tian et al., ICCV 2021): dilated convolutions beside a non-local block; clips selected by feature magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mgfn.network import Head, MgfnOutput


@dataclass(frozen=True)
class RtfmConfig:
    """`width` of each of the four branches as published. Raises ValueError for impossible settings."""

    channels: int
    width: int = 512
    dropout: float = 0.7

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 1 << 14 or not 2 <= self.width <= 1 << 12:
            raise ValueError(
                f"channels {self.channels}, width {self.width}; must be from 1 to {1 << 14} and from 2 to {1 << 12}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}; must be from 0 to below 1")


class NonLocal(nn.Module):
    """Each clip plus a mean over all clips weighted by dot products / T, without softmax: (B, D, T) -> (B, D, T)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.theta = nn.Conv1d(width, width // 2, 1)
        self.phi = nn.Conv1d(width, width // 2, 1)
        self.g = nn.Conv1d(width, width // 2, 1)
        self.out = nn.Conv1d(width // 2, width, 1)
        self.norm = nn.BatchNorm1d(width)
        nn.init.zeros_(self.norm.weight)  # so the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        weights = self.theta(x).transpose(1, 2) @ self.phi(x) / x.shape[2]  # (B, T, T)
        mixed: Tensor = self.norm(self.out(self.g(x) @ weights.transpose(1, 2)))
        return mixed + x


class Rtfm(Head):
    """Multi-scale temporal network and three fully connected layers: float32 (N, T, P, C) -> MgfnOutput. Any T >= 1.

    Three convolutions over three clips, dilated by 1, 2 and 4, run beside a non-local block; their combined output is
    added to the features. `features` (N, P, T, C) are after dropout, and so are the magnitudes in training.
    """

    config: RtfmConfig

    def __init__(self, config: RtfmConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = config.channels, config.width
        self.pyramid = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, width, 3, padding=dilation, dilation=dilation), nn.ReLU(), nn.BatchNorm1d(width)
            )
            for dilation in (1, 2, 4)
        )
        self.reduce = nn.Sequential(nn.Conv1d(channels, width, 1, bias=False), nn.ReLU())
        self.non_local = NonLocal(width)
        self.fuse = nn.Sequential(
            nn.Conv1d(4 * width, channels, 3, padding=1, bias=False), nn.ReLU(), nn.BatchNorm1d(channels)
        )
        self.fc1, self.fc2, self.fc3 = nn.Linear(channels, 512), nn.Linear(512, 128), nn.Linear(128, 1)
        self.drop = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Tensor) -> MgfnOutput:
        x = features.permute(0, 2, 3, 1).flatten(0, 1)  # (N * P, C, T)
        branches = [branch(x) for branch in self.pyramid]
        branches.append(self.non_local(self.reduce(x)))
        last = self.drop((self.fuse(torch.cat(branches, dim=1)) + x).transpose(1, 2))  # (N * P, T, C)
        hidden = self.drop(torch.relu(self.fc1(last)))
        hidden = self.drop(torch.relu(self.fc2(hidden)))
        crops = features.shape[2]
        logits = self.fc3(hidden).squeeze(-1).unflatten(0, (-1, crops))  # (N, P, T)
        scores = torch.sigmoid(logits).mean(dim=1)  # (N, T)
        last = last.unflatten(0, (-1, crops))  # (N, P, T, C)
        return MgfnOutput(scores, last.norm(dim=-1).mean(dim=1), last, logits)
