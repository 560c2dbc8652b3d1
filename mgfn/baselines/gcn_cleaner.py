"""GCN (Zhong et al., CVPR 2019): a graph network cleans the noisy labels that a clip classifier learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check, labels_like, perceptron, steps_apart


@dataclass(frozen=True)
class GcnCleanerConfig:
    """`confident`: share of an abnormal video's clips, at each end of the scores, that teach the cleaner.

    `rounds`: how often classifier and cleaner are trained in turn. Raises ValueError for impossible settings.
    """

    channels: int
    dropout: float = 0.6
    confident: float = 0.2
    rounds: int = 4

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, rounds=self.rounds)
        if not 0 < self.confident <= 0.5:
            raise ValueError(f"confident {self.confident}; must be above 0 and at most 0.5")


class Cleaner(nn.Module):
    """512 -> 128, then two graph branches 128 -> 32 -> 2, averaged: (B, T, C) -> logits of two classes (B, T, 2)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.compress = nn.Sequential(
            nn.Linear(channels, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.in_time = nn.ModuleList([nn.Linear(128, 32), nn.Linear(32, 2)])
        self.alike = nn.ModuleList([nn.Linear(128, 32), nn.Linear(32, 2)])
        self.drop = nn.Dropout(dropout)

    def forward(self, bags: Tensor) -> Tensor:
        x = self.compress(bags)
        time = normalised(torch.exp(-steps_apart(x.shape[1], x.device)))[None]
        branches = [self.branch(x, time, self.in_time), self.branch(x, similarity(x), self.alike)]
        return torch.stack(branches).mean(dim=0)

    def branch(self, x: Tensor, graph: Tensor, layers: nn.ModuleList) -> Tensor:
        first, second = layers
        out: Tensor = graph @ second(self.drop(torch.relu(graph @ first(x))))
        return out


class GcnCleaner(Baseline):
    """The clip classifier, whose scores count; the cleaner is needed in training only."""

    config: GcnCleanerConfig
    causal = True
    missing = "the action classifier's own backbone, which the paper retrains on the cleaned labels"

    def __init__(self, config: GcnCleanerConfig) -> None:
        super().__init__()
        self.config = config
        self.classifier = perceptron(config.channels, 512, 32, config.dropout)
        self.cleaner = Cleaner(config.channels, config.dropout)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.classifier(functional.normalize(bags, dim=2)).squeeze(2)
        return bags, logits

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        labels = labels_like(bags)[:, None].expand(-1, bags.shape[1])
        logits = self.run(bags)[1]
        turn = int(progress * 2 * self.config.rounds)
        if turn == 0:  # every clip has its video's label
            return {"classifier": functional.binary_cross_entropy_with_logits(logits, labels)}
        if turn % 2:
            known, confident = confident_labels(torch.sigmoid(logits).detach(), labels, self.config.confident)
            return {"cleaner": cleaning_loss(self.cleaner(bags), known, confident)}
        with torch.no_grad():
            clean = self.cleaner(bags).softmax(dim=2)[:, :, 1] * labels  # clips of a normal video are normal
        return {"classifier": functional.binary_cross_entropy_with_logits(logits, clean)}


def normalised(graph: Tensor) -> Tensor:
    """D^-1/2 A D^-1/2 of (..., T, T)."""
    root = graph.sum(dim=-1).rsqrt()
    return root[..., :, None] * graph * root[..., None, :]


def similarity(x: Tensor) -> Tensor:
    """exp(x x^T - row maximum), normalised: (B, T, D) -> (B, T, T)."""
    products = x @ x.transpose(1, 2)
    return normalised(torch.exp(products - products.amax(dim=2, keepdim=True)))


def confident_labels(scores: Tensor, labels: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Labels (B, T) of clips, and which of them count: all of normal videos, both ends of abnormal ones' scores."""
    count = max(1, int(share * scores.shape[1]))
    ends = torch.zeros_like(scores, dtype=torch.bool)
    known = torch.zeros_like(scores)
    high = scores.topk(count, dim=1).indices
    ends.scatter_(1, high, True).scatter_(1, scores.topk(count, dim=1, largest=False).indices, True)
    known.scatter_(1, high, 1.0)
    return known * labels, ends | (labels < 0.5)


def cleaning_loss(logits: Tensor, known: Tensor, confident: Tensor) -> Tensor:
    """Cross-entropy of the confident clips alone: logits (B, T, 2), labels and choice (B, T)."""
    return functional.cross_entropy(logits[confident], known[confident].long())
