"""CLAWS (Zaheer et al., ECCV 2020): normalcy suppression over successive clips, and a clustering distance loss.

Written from the abstract and excerpts, without its code. Our reading: the clips of one video are one batch of
successive clips; batches come in random order, because videos are drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check, labels_like


@dataclass(frozen=True)
class ClawsConfig:
    """Weights of the terms, and the `margin` between the clusters of an abnormal video. Raises ValueError."""

    channels: int
    dropout: float = 0.6
    clustering: float = 0.1
    smoothness: float = 8e-5
    sparsity: float = 8e-5
    margin: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout)


class Suppressed(nn.Module):
    """A layer whose output is multiplied by a softmax over clips of another layer: (B, T, C) -> (B, T, out)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layer, self.gate = nn.Linear(width, out), nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        # times T, so that the size does not depend on the number of clips
        return torch.relu(self.layer(x)) * self.gate(x).softmax(dim=1) * x.shape[1]


class Claws(Baseline):
    """512 -> 32 -> 1, the first two suppressed; a clip's score depends on the other clips of its window."""

    config: ClawsConfig

    def __init__(self, config: ClawsConfig) -> None:
        super().__init__()
        self.config = config
        self.first, self.second = Suppressed(config.channels, 512), Suppressed(512, 32)
        self.last = nn.Linear(32, 1)
        self.drop = nn.Dropout(config.dropout)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        last = self.second(self.drop(self.first(functional.normalize(bags, dim=2))))
        return last, self.last(self.drop(last)).squeeze(2)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        last, logits = self.run(bags)
        c, scores, labels = self.config, torch.sigmoid(logits), labels_like(bags)
        half = len(bags) // 2
        return {
            "regression": (scores - labels[:, None]).square().mean(),
            "clustering": c.clustering * clustering_distance(last, labels, c.margin),
            "smoothness": c.smoothness * scores.diff(dim=1).square().sum(dim=1).mean(),
            "sparsity": c.sparsity * scores[half:].sum(dim=1).mean(),
        }


def two_means(x: Tensor, rounds: int = 10) -> Tensor:
    """Which of two clusters each row of (T, D) belongs to, bool (T,); k-means from the first row and its farthest."""
    second = (x - x[0]).square().sum(dim=1).argmax()
    centres = torch.stack([x[0], x[second]])
    member = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for _ in range(rounds):
        member = (x - centres[1]).square().sum(dim=1) < (x - centres[0]).square().sum(dim=1)
        if member.all() or not member.any():
            break
        centres = torch.stack([x[~member].mean(dim=0), x[member].mean(dim=0)])
    return member


def clustering_distance(features: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Of each video's features (T, D) in two clusters, the distance d of their centres, mean over videos.

    min(margin, d) if normal, max(0, margin - d) if abnormal: one cluster there, two apart here.
    """
    terms = []
    for x, label in zip(features, labels, strict=True):
        member = two_means(x.detach())
        if member.all() or not member.any():
            d = x.new_zeros(())
        else:
            d = (x[member].mean(dim=0) - x[~member].mean(dim=0)).square().sum().clamp_min(1e-12).sqrt()
        terms.append(functional.relu(margin - d) if label > 0.5 else d.clamp_max(margin))
    return torch.stack(terms).mean()
