"""UR-DMU (Zhou, Yu and Yang, AAAI 2023): a memory of normal and one of abnormal clips, with uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import (
    Baseline,
    at,
    bag_cross_entropy,
    check,
    labels_like,
    probability_cross_entropy,
    top_count,
)
from mgfn.baselines.trunk import Trunk


@dataclass(frozen=True)
class UrDmuConfig:
    """Sizes and the weights of the five groups of terms as published; dropout from memory.

    Raises ValueError for impossible settings.
    """

    channels: int
    width: int = 512
    heads: int = 4
    memories: int = 60
    dropout: float = 0.5
    memory: float = 0.1
    triplet: float = 0.1
    kl: float = 0.001
    distance: float = 0.0001
    margin: float = 100.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, width=self.width, heads=self.heads, memories=self.memories)


class Memory(nn.Module):
    """Sigmoid memory: (B, T, D) -> how well each clip is remembered (B, T), and what is recalled (B, T, D)."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.items = nn.Parameter(torch.empty(count, width).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        match = torch.sigmoid(x @ self.items.T / x.shape[2] ** 0.5)  # (B, T, count)
        known = match.topk(match.shape[2] // 16 + 1, dim=2).values.mean(dim=2)
        return known, match @ self.items


class UrDmu(Baseline):
    """Features beside what both memories recall -> 128 -> 1."""

    config: UrDmuConfig

    def __init__(self, config: UrDmuConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.trunk = Trunk(config.channels, width, config.heads, config.dropout)
        self.normal, self.abnormal = Memory(config.memories, width), Memory(config.memories, width)
        self.mean = nn.Sequential(nn.Linear(width, width))
        self.log_variance = nn.Sequential(nn.Linear(width, width))
        self.classify = nn.Sequential(
            nn.Linear(2 * width, 128), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(128, 1)
        )

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(bags)
        recalled = self.mean(self.abnormal(x)[1]) + self.mean(self.normal(x)[1])
        last = torch.cat([x, recalled], dim=2)
        return last, self.classify(last).squeeze(2)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        half, k, c = len(bags) // 2, top_count(bags.shape[1]), self.config
        x = self.trunk(bags)
        by_normal, recalled_normal = self.normal(x)
        by_abnormal, recalled_abnormal = self.abnormal(x)
        mean, log_variance = self.mean(recalled_normal[:half]), self.log_variance(recalled_normal[:half])
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        own = torch.cat([drawn, self.mean(recalled_abnormal[half:])])  # each class by its own memory
        other = self.mean(torch.cat([recalled_abnormal[:half], recalled_normal[half:]]))
        logits = self.classify(torch.cat([x, own + other], dim=2)).squeeze(2)
        normal = by_normal[:half].topk(min(k, bags.shape[1]), dim=1).indices
        like_normal = by_normal[half:].topk(min(k, bags.shape[1]), dim=1).indices
        abnormal = by_abnormal[half:].topk(min(k, bags.shape[1]), dim=1).indices
        memory = memory_loss(by_normal, by_abnormal, k)
        triplet = triplet_loss(at(x[:half], normal), at(x[half:], like_normal), at(x[half:], abnormal))
        apart = distance_loss(at(own[:half], normal), at(own[half:], abnormal), c.margin)
        return {
            "cross-entropy": bag_cross_entropy(logits, k, labels_like(bags)),
            "memory": c.memory * memory,
            "triplet": c.triplet * triplet,
            "kl": c.kl * kl_loss(mean, log_variance),
            "distance": c.distance * apart,
        }


def memory_loss(by_normal: Tensor, by_abnormal: Tensor, k: int) -> Tensor:
    """Four cross-entropies of how well a memory knows the k clips it knows best, (2B, T) each.

    The normal memory must know both classes, because abnormal videos contain normal clips; the abnormal memory must
    know abnormal videos and not know normal ones.
    """
    half = len(by_normal) // 2
    pairs = ((by_normal[:half], 1.0), (by_normal[half:], 1.0), (by_abnormal[half:], 1.0), (by_abnormal[:half], 0.0))
    terms = [
        probability_cross_entropy(known.topk(min(k, known.shape[1]), dim=1).values.mean(dim=1), target)
        for known, target in pairs
    ]
    return torch.stack(terms).sum()


def triplet_loss(normal: Tensor, like_normal: Tensor, abnormal: Tensor) -> Tensor:
    """max(0, 1 + |n - p| - |n - a|), mean over pairs of videos, of the clips' (B, k, D) means of length one."""
    n, p, a = (functional.normalize(clips.mean(dim=1), dim=1) for clips in (normal, like_normal, abnormal))
    return functional.triplet_margin_loss(n, p, a, margin=1.0)


def distance_loss(normal: Tensor, abnormal: Tensor, margin: float) -> Tensor:
    """max(0, margin - |a| + |n|), mean over pairs of videos, of the means over the clips (B, k, D)."""
    n, a = (clips.mean(dim=1).norm(dim=1) for clips in (normal, abnormal))
    return functional.relu(margin - a + n).mean()


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence from the standard normal distribution: -1/2 sum (1 + log v - m^2 - v), mean over clips (B, T, D)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=2).mean()
