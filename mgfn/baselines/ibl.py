"""IBL (Zhang, Qing and Miao, ICIP 2019): a temporal convolution network, ranking loss and inner-bag loss.

Written from the abstract, without its code. Our reading of the inner-bag loss: a hinge on the spans of scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check
from mgfn.losses import multiple_instance_ranking


@dataclass(frozen=True)
class IblConfig:
    """`inner` weights the inner-bag loss. Raises ValueError for impossible settings."""

    channels: int
    width: int = 128
    kernel: int = 3
    layers: int = 3
    dropout: float = 0.6
    inner: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, width=self.width, kernel=self.kernel, layers=self.layers)


class Ibl(Baseline):
    """Causal convolutions dilated by 1, 2, 4 with residuals, as a temporal convolution network has them."""

    config: IblConfig
    causal = True

    def __init__(self, config: IblConfig) -> None:
        super().__init__()
        self.config = config
        self.reduce = nn.Conv1d(config.channels, config.width, 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.width, config.width, config.kernel, dilation=2**layer) for layer in range(config.layers)
        )
        self.classify = nn.Conv1d(config.width, 1, 1)
        self.drop = nn.Dropout(config.dropout)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        x = self.reduce(functional.normalize(bags, dim=2).transpose(1, 2))
        for layer, convolution in enumerate(self.convolutions):
            past = functional.pad(x, ((self.config.kernel - 1) * 2**layer, 0))
            x = x + self.drop(torch.relu(convolution(past)))
        return x.transpose(1, 2), self.classify(x).squeeze(1)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        scores = torch.sigmoid(self.run(bags)[1])
        half = len(bags) // 2
        return {
            "ranking": multiple_instance_ranking(scores[:half], scores[half:]),
            "inner": self.config.inner * inner_bag(scores[:half], scores[half:]),
        }


def inner_bag(normal: Tensor, abnormal: Tensor) -> Tensor:
    """max(0, 1 - span(abnormal) + span(normal)) over all pairs; the span of (B, T) is its maximum minus its minimum."""
    n, a = (scores.amax(dim=1) - scores.amin(dim=1) for scores in (normal, abnormal))
    return functional.relu(1 - a[:, None] + n[None]).mean()
