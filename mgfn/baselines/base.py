"""What the baselines with a loss of their own share: each crop of a video is a bag of clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.losses import mean_logit
from mgfn.network import Head, MgfnOutput, output_of


class Baseline(Head, ABC):
    """A head that computes its own loss. Subclasses define `run` and `loss_terms`.

    missing: the part of the published method that needs more than clip features, in one line; empty if none.
    """

    missing: ClassVar[str] = ""

    @abstractmethod
    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        """Bags of clips (B, T, C) -> last features (B, T, D), logits (B, T)."""

    @abstractmethod
    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        """Weighted terms whose sum is the loss, from bags (2B, T, C): first normal, then abnormal ones.

        `progress` is the finished share of the training, in [0, 1).
        """

    def after_step(self) -> None:
        """Restore what a step of the optimiser breaks, such as orthonormal columns."""

    def forward(self, features: Tensor) -> MgfnOutput:
        last, logits = self.run(bags_of(features))
        return output_of(last, logits, crops=features.shape[2])


def bags_of(features: Tensor) -> Tensor:
    """(N, T, P, C) -> (N * P, T, C): the crops of the first video, then those of the next."""
    return features.transpose(1, 2).flatten(0, 1)


def labels_like(bags: Tensor) -> Tensor:
    """(2B,) labels of a batch: 0 for its first half, 1 for its second."""
    count = len(bags)
    return (torch.arange(count, device=bags.device) >= count // 2).float()


def top_count(clips: int) -> int:
    """floor(T / 16) + 1, the number of clips that represent a video in HL-Net and its successors."""
    return clips // 16 + 1


def top_mean(values: Tensor, k: int) -> Tensor:
    """Mean of the k largest values of each row: (B, T) -> (B,)."""
    return values.topk(min(k, values.shape[1]), dim=1).values.mean(dim=1)


def bag_cross_entropy(logits: Tensor, k: int, labels: Tensor) -> Tensor:
    """Cross-entropy of the mean probability of each bag's k highest clips: logits (B, T), labels (B,)."""
    top = logits.topk(min(k, logits.shape[1]), dim=1).values
    return functional.binary_cross_entropy_with_logits(mean_logit(top, 1), labels)


def probability_cross_entropy(probabilities: Tensor, target: float) -> Tensor:
    """Mean cross-entropy of probabilities with one target."""
    p = probabilities.clamp(1e-6, 1 - 1e-6)
    return functional.binary_cross_entropy(p, torch.full_like(p, target))


def at(features: Tensor, index: Tensor) -> Tensor:
    """Features (B, T, D) of the clips (B, k) -> (B, k, D)."""
    return features.gather(1, index[:, :, None].expand(-1, -1, features.shape[2]))


def steps_apart(clips: int, device: torch.device) -> Tensor:
    """|i - j| for all pairs of clips: float (T, T)."""
    places = torch.arange(clips, device=device).float()
    return (places[:, None] - places[None]).abs()


def causal_pad(x: Tensor, kernel: int) -> Tensor:
    """Zeros before the first clip, so that a convolution of (B, D, T) sees only the past."""
    return functional.pad(x, (kernel - 1, 0))


def perceptron(channels: int, first: int, second: int, dropout: float) -> nn.Sequential:
    """C -> first, ReLU -> second -> 1, dropout between: the classifier of Sultani et al., used by many methods."""
    return nn.Sequential(
        nn.Linear(channels, first), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(first, second), nn.Dropout(dropout), nn.Linear(second, 1),
    )  # fmt: skip


def check(channels: int, dropout: float = 0.0, **at_least_one: float) -> None:
    """Raise ValueError for settings that no network can be built from."""
    if not 1 <= channels <= 1 << 14:
        raise ValueError(f"channels {channels}; must be from 1 to {1 << 14}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout}; must be from 0 to below 1")
    for name, value in at_least_one.items():
        if not 1 <= value <= 1 << 14:
            raise ValueError(f"{name} {value}; must be from 1 to {1 << 14}")
