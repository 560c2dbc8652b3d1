"""HL-Net (Wu et al., ECCV 2020): three graph branches over a whole video, and a causal approximator for live use.

Its authors' checkpoint (`wsanodet_mix2.pkl`, 1,024 I3D and 128 VGGish channels) loads by names and shapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, bag_cross_entropy, causal_pad, check, labels_like, steps_apart, top_count

_WITH_AUDIO: Final = 1024 + 128  # I3D and VGGish


@dataclass(frozen=True)
class HlNetConfig:
    """`online`: the scores are those of the causal approximator, else of the graph branches.

    `distill` weights the cross-entropy that pulls the causal scores to the others. Raises ValueError.
    """

    channels: int
    online: bool = False
    dropout: float = 0.6
    distill: float = 5.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout)


class Graph(nn.Module):
    """A graph convolution with a residual: (B, T, D), adjacency (B or 1, T, T) -> (B, T, 32)."""

    def __init__(self, width: int, out: int, residual: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, out))
        nn.init.xavier_uniform_(self.weight)
        if residual:
            self.residual = nn.Conv1d(width, out, 5, padding=2)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        kept = self.residual(x.transpose(1, 2)).transpose(1, 2) if hasattr(self, "residual") else x
        return adjacency @ (x @ self.weight) + kept


class Similarity(nn.Module):
    """Cosine similarity of the input features, 0 unless above 0.7, softmax over clips: (B, T, C) -> (B, T, T).

    The two weights are in the authors' checkpoint, and no score depends on them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight0 = nn.Parameter(torch.zeros(channels, 32))
        self.weight1 = nn.Parameter(torch.zeros(channels, 32))

    def forward(self, x: Tensor) -> Tensor:
        unit = functional.normalize(x, dim=2)
        cosine = unit @ unit.transpose(1, 2)
        # dim 1 of the published code's matrix of one video, which is the last one here
        return torch.where(cosine > 0.7, cosine, 0.0).softmax(dim=2)


class Proximity(nn.Module):
    """exp(-|i - j| / e): (1, T, T). `sigma` is in the authors' checkpoint, and no score depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.sigma = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-steps_apart(x.shape[1], x.device) / math.e)[None]


def score_closeness(scores: Tensor) -> Tensor:
    """Scores (B, T) -> (B, T, T): closeness 1 - |s_i - s_j|, sharpened around 0.5, softmax over clips."""
    closeness = 1 - (scores[:, :, None] - scores[:, None, :]).abs()
    return torch.sigmoid((closeness - 0.5) / 0.1).softmax(dim=2)


class HlNet(Baseline):
    """Names and shapes are those of the authors' checkpoint; `conv1d3` and `conv1d4` there are used by no score."""

    config: HlNetConfig
    missing = "VGGish audio features, which the published XD-Violence figures of its multi-modal form use"

    def not_live(self) -> str:
        if self.config.channels != _WITH_AUDIO:
            return ""
        return "hl-net of 1152 channels needs 128 of audio (VGGish) beside I3D's 1024; train hl-net on I3D's alone"

    def __init__(self, config: HlNetConfig) -> None:
        super().__init__()
        self.config, self.causal = config, config.online
        self.conv1d1 = nn.Conv1d(config.channels, 512, 1)
        self.conv1d2 = nn.Conv1d(512, 128, 1)
        self.conv1d3 = nn.Conv1d(128, 32, 5, padding=2)
        self.conv1d4 = nn.Conv1d(32, 32, 5, padding=2)
        self.gc1, self.gc2 = Graph(128, 32, residual=True), Graph(32, 32, residual=False)
        self.gc3, self.gc4 = Graph(128, 32, residual=True), Graph(32, 32, residual=False)
        self.gc5, self.gc6 = Graph(128, 32, residual=True), Graph(32, 32, residual=False)
        self.simAdj, self.disAdj = Similarity(config.channels), Proximity()
        self.classifier = nn.Linear(96, 1)
        self.approximator = nn.Sequential(nn.Conv1d(128, 64, 1), nn.ReLU(), nn.Conv1d(64, 32, 1), nn.ReLU())
        self.conv1d_approximator = nn.Conv1d(32, 1, 5)
        self.drop = nn.Dropout(config.dropout)

    def both(self, bags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The last features (B, T, 96) of the branches, their logits (B, T) and those of the approximator (B, T)."""
        x = self.drop(torch.relu(self.conv1d1(bags.transpose(1, 2))))
        x = self.drop(torch.relu(self.conv1d2(x)))  # (B, 128, T)
        causal = self.conv1d_approximator(causal_pad(self.approximator(x), 5)).squeeze(1)
        x = x.transpose(1, 2)
        branches = [
            self.branch(x, self.simAdj(bags), self.gc1, self.gc2),
            self.branch(x, self.disAdj(bags), self.gc3, self.gc4),
            self.branch(x, score_closeness(torch.sigmoid(causal)), self.gc5, self.gc6),
        ]
        last = torch.cat(branches, dim=2)
        return last, self.classifier(last).squeeze(2), causal

    def branch(self, x: Tensor, adjacency: Tensor, first: Graph, second: Graph) -> Tensor:
        x = self.drop(torch.relu(first(x, adjacency)))
        out: Tensor = self.drop(torch.relu(second(x, adjacency)))
        return out

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.online:
            x = torch.relu(self.conv1d2(self.drop(torch.relu(self.conv1d1(bags.transpose(1, 2))))))
            last = self.approximator(self.drop(x))
            return last.transpose(1, 2), self.conv1d_approximator(causal_pad(last, 5)).squeeze(1)
        last, logits, _ = self.both(bags)
        return last, logits

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        _, logits, causal = self.both(bags)
        return hl_net_loss(logits, causal, labels_like(bags), self.config.distill)


def hl_net_loss(logits: Tensor, causal: Tensor, labels: Tensor, distill: float) -> dict[str, Tensor]:
    """L_BCE + L_BCE2 + distill * L_DISTILL on logits (B, T) of the branches and of the causal approximator.

    Both L_BCE are of the mean of a video's top floor(T / 16) + 1 clips. L_DISTILL is the mean over clips of
    -sigmoid(branches) log sigmoid(causal), the other half included; the branches are its fixed target.
    """
    k = top_count(logits.shape[1])
    target = torch.sigmoid(logits).detach()
    return {
        "branches": bag_cross_entropy(logits, k, labels),
        "causal": bag_cross_entropy(causal, k, labels),
        "distillation": distill * functional.binary_cross_entropy_with_logits(causal, target),
    }
