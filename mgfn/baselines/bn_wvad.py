"""BN-WVAD (Zhou et al., 2023): a clip is anomalous if it is far from the running mean of batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check
from mgfn.baselines.trunk import Trunk


@dataclass(frozen=True)
class BnWvadConfig:
    """`video_share`, `batch_share`: clips selected in each video and in the batch. Raises ValueError."""

    channels: int
    width: int = 512
    heads: int = 4
    dropout: float = 0.6
    video_share: float = 0.2
    batch_share: float = 0.4
    triplet: tuple[float, float] = (5.0, 20.0)
    margin: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, width=self.width, heads=self.heads)
        if not 0 < self.video_share <= 1 or not 0 < self.batch_share <= 1:
            raise ValueError(
                f"video_share {self.video_share}, batch_share {self.batch_share}; must be above 0 and at most 1"
            )


class BnWvad(Baseline):
    """Convolutions 512 -> 32 -> 16 -> 1 with batch normalisation after the first two.

    A score is the classifier's times the sum of both layers' distances; its logit here is the logarithm of that
    product, which keeps the order of clips and maps it into (0, 1).
    """

    config: BnWvadConfig

    def __init__(self, config: BnWvadConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.channels, config.width, config.heads, config.dropout)
        self.conv1, self.norm1 = nn.Conv1d(config.width, 32, 1), nn.BatchNorm1d(32)
        self.conv2, self.norm2 = nn.Conv1d(32, 16, 1), nn.BatchNorm1d(16)
        self.conv3 = nn.Conv1d(16, 1, 1)
        self.drop = nn.Dropout(config.dropout)

    def measured(self, bags: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Both layers' features before normalisation (B, T, D), distances (B, T), the classifier's scores (B, T)."""
        first = self.conv1(self.trunk(bags).transpose(1, 2))
        second = self.conv2(self.drop(torch.relu(self.norm1(first))))
        scores = torch.sigmoid(self.conv3(self.drop(torch.relu(self.norm2(second))))).squeeze(1)
        features = [first.transpose(1, 2), second.transpose(1, 2)]
        distances = [from_mean(x, norm) for x, norm in zip(features, (self.norm1, self.norm2), strict=True)]
        return features, torch.stack(distances).sum(dim=0), scores

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        features, distance, scores = self.measured(bags)
        return features[1], (scores * distance).clamp_min(1e-12).log()

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        c = self.config
        features, distance, scores = self.measured(bags)
        half = len(bags) // 2
        chosen = selected(distance.detach(), c.video_share, c.batch_share)
        terms = {"normal": scores[:half].norm(dim=1).mean()}
        for index, (x, norm) in enumerate(zip(features, (self.norm1, self.norm2), strict=True)):
            away = from_mean(x, norm)
            terms[f"triplet{index + 1}"] = c.triplet[index] * triplet_loss(
                away[:half][chosen[:half]], away[half:][chosen[half:]], c.margin
            )
        return terms


def from_mean(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Mahalanobis distance of (B, T, D) to the running mean, with the running variances: (B, T)."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101, PT018 -- tracked by default
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    return ((x - mean).square() / (variance + norm.eps)).sum(dim=2).clamp_min(1e-12).sqrt()


def selected(distance: Tensor, video_share: float, batch_share: float) -> Tensor:
    """Which clips (2B, T) stand for their class: the farthest of each video, and of each class in the batch."""
    clips = distance.shape[1]
    of_video = torch.zeros_like(distance, dtype=torch.bool)
    of_video.scatter_(1, distance.topk(max(1, int(video_share * clips)), dim=1).indices, True)
    of_batch = torch.zeros_like(of_video)
    for values, flags in zip(distance.chunk(2), of_batch.chunk(2), strict=True):
        top = values.flatten().topk(max(1, int(batch_share * values.numel()))).indices
        flags.view(-1)[top] = True
    return of_video | of_batch


def triplet_loss(normal: Tensor, abnormal: Tensor, margin: float) -> Tensor:
    """max(0, margin + d(normal) - d(abnormal)) of the mean distances to the running mean, which is the anchor."""
    return functional.relu(margin + normal.mean() - abnormal.mean())
