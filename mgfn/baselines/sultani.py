"""Sultani et al. (CVPR 2018): each clip alone through three fully connected layers; trained by ranking bags."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.network import Head, MgfnOutput


@dataclass(frozen=True)
class SultaniConfig:
    """Widths and dropout as published. Raises ValueError for impossible settings."""

    channels: int
    hidden: tuple[int, int] = (512, 32)
    dropout: float = 0.6

    def __post_init__(self) -> None:
        if not all(1 <= width <= 1 << 14 for width in (self.channels, *self.hidden)):
            raise ValueError(f"channels {self.channels}, hidden {self.hidden}; must be from 1 to {1 << 14}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}; must be from 0 to below 1")


class Sultani(Head):
    """Features of length one -> 512, ReLU -> 32 -> 1, sigmoid, dropout between: float32 (N, T, P, C) -> MgfnOutput.

    The published network has no non-linearity after its second layer. `features` are that layer's (N, P, T, 32).
    """

    config: SultaniConfig
    causal = True

    def __init__(self, config: SultaniConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.hidden
        self.fc1 = nn.Linear(config.channels, first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, 1)
        self.drop = nn.Dropout(config.dropout)
        for layer in (self.fc1, self.fc2, self.fc3):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> MgfnOutput:
        x = functional.normalize(features.transpose(1, 2), dim=-1)  # (N, P, T, C)
        x = self.drop(torch.relu(self.fc1(x)))
        last = self.fc2(x)  # (N, P, T, 32)
        logits = self.fc3(self.drop(last)).squeeze(-1)  # (N, P, T)
        return MgfnOutput(torch.sigmoid(logits).mean(dim=1), last.norm(dim=-1).mean(dim=1), last, logits)
