"""MIST (Feng, Hong and Zheng, CVPR 2021): its pseudo-label generator, and a second head trained on its labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mgfn.baselines.base import Baseline, check, labels_like, perceptron, top_mean


@dataclass(frozen=True)
class MistConfig:
    """`part_clips` successive clips are one part, `top` parts stand for a video; `generator`: its training's share.

    Raises ValueError for impossible settings.
    """

    channels: int
    dropout: float = 0.6
    part_clips: int = 7
    top: int = 7
    sparsity: float = 0.01
    generator: float = 0.5

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, part_clips=self.part_clips, top=self.top)
        if not 0 < self.generator <= 1:
            raise ValueError(f"generator {self.generator}; must be above 0 and at most 1")


class Mist(Baseline):
    """C -> 512 -> 32 -> 1 twice: the generator of stage 1, and the head of stage 2, whose scores count.

    With `generator` 1 there is no second stage, and the generator's scores count.
    """

    config: MistConfig
    causal = True
    missing = "stage 2 of the paper, which retrains the backbone; here a second head on frozen features"

    def __init__(self, config: MistConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = perceptron(config.channels, 512, 32, config.dropout)
        self.head = perceptron(config.channels, 512, 32, config.dropout)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        network = self.generator if self.config.generator == 1 else self.head
        return bags, network(functional.normalize(bags, dim=2)).squeeze(2)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        x, c = functional.normalize(bags, dim=2), self.config
        if progress < c.generator:
            scores = torch.sigmoid(self.generator(x).squeeze(2))
            ranking, sparse = generator_loss(scores, c.part_clips, c.top)
            return {"ranking": ranking, "sparsity": c.sparsity * sparse}
        self.generator.eval()  # no dropout in the labels
        with torch.no_grad():
            scores = torch.sigmoid(self.generator(x).squeeze(2))
        self.generator.train()
        labels = pseudo_labels(scores, labels_like(bags))
        logits = self.head(x).squeeze(2)
        return {"pseudo-labels": functional.binary_cross_entropy_with_logits(logits, labels)}


def generator_loss(scores: Tensor, part_clips: int, top: int) -> tuple[Tensor, Tensor]:
    """Hinge over all pairs of an abnormal and a normal video, and sparsity, of clip scores (2B, T).

    A part's score is the mean of its clips, a video's the mean of its `top` parts:
    max(0, 1 - abnormal + normal), and the mean score of abnormal videos.
    """
    parts = functional.avg_pool1d(scores[:, None], min(part_clips, scores.shape[1])).squeeze(1)
    video = top_mean(parts, top)
    normal, abnormal = video[: len(video) // 2], video[len(video) // 2 :]
    return functional.relu(1 - abnormal[:, None] + normal[None]).mean(), scores[len(scores) // 2 :].mean()


def pseudo_labels(scores: Tensor, labels: Tensor) -> Tensor:
    """Scores (2B, T) smoothed twice over five clips, from 0 to 1 within each abnormal video; 0 in normal ones."""
    smooth = scores[:, None]
    for _ in range(2):
        smooth = functional.avg_pool1d(smooth, 5, stride=1, padding=2, count_include_pad=False)
    smooth = smooth.squeeze(1)
    low, high = smooth.amin(dim=1, keepdim=True), smooth.amax(dim=1, keepdim=True)
    return (smooth - low) / (high - low).clamp_min(1e-6) * labels[:, None]
