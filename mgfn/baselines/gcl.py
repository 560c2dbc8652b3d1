"""GCL (Zaheer et al., CVPR 2022): an autoencoder and a discriminator label clips for each other.

Written from memory of the paper, to be checked against it. Our readings: both label by mean plus one deviation within
a batch; the wrong target of negative learning is a vector of ones; with normal videos alone there is nothing for a
discriminator to separate, so a clip's score is its reconstruction error.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check, labels_like, perceptron


@dataclass(frozen=True)
class GclConfig:
    """`labels`: which labels of videos are used: only normal videos, none, or both kinds. Raises ValueError."""

    channels: int
    labels: Literal["one-class", "unsupervised", "weak"] = "unsupervised"
    dropout: float = 0.6
    deviations: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout)


class Gcl(Baseline):
    """Autoencoder C -> C/2 -> C/4 -> C/2 -> C, discriminator C -> 512 -> 32 -> 1; scores are those of the latter."""

    config: GclConfig
    causal = True

    def __init__(self, config: GclConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.channels, max(1, config.channels // 2), max(1, config.channels // 4)]
        widths += widths[-2::-1]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.autoencoder = nn.Sequential(*layers[:-1])
        self.discriminator = perceptron(config.channels, 512, 32, config.dropout)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.normalize(bags, dim=2)
        if self.config.labels == "one-class":
            return x, (self.autoencoder(x) - x).square().sum(dim=2).clamp_min(1e-12).log()
        return x, self.discriminator(x).squeeze(2)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        if self.config.labels == "one-class":
            x = functional.normalize(bags[: len(bags) // 2], dim=2)
            return {"autoencoder": (self.autoencoder(x) - x).square().sum(dim=2).mean()}
        known = labels_like(bags)[:, None].expand(-1, bags.shape[1])
        x, logits = self.run(bags)
        made = self.autoencoder(x)
        errors = (made - x).square().sum(dim=2)
        may = known > 0.5 if self.config.labels == "weak" else torch.ones_like(known, dtype=torch.bool)
        from_errors = high(errors.detach(), self.config.deviations) & may
        from_scores = high(torch.sigmoid(logits).detach(), self.config.deviations) & may
        return {
            "autoencoder": negative_learning(x, made, from_scores),
            "discriminator": functional.binary_cross_entropy_with_logits(logits, from_errors.float()),
        }


def high(values: Tensor, deviations: float) -> Tensor:
    """Pseudo-labels: which values exceed the mean of all by so many deviations."""
    return values > values.mean() + deviations * values.std()


def negative_learning(x: Tensor, made: Tensor, anomalous: Tensor) -> Tensor:
    """Mean squared distance of what was made (B, T, C) to the clip, or to ones where the clip counts as anomalous.

    The ones have length one, as the features do.
    """
    wrong = torch.full_like(x, x.shape[2] ** -0.5)
    target = torch.where(anomalous[:, :, None], wrong, x)
    return (made - target).square().sum(dim=2).mean()
