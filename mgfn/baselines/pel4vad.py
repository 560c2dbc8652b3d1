"""PEL4VAD (Pu et al., 2023), its visual part: global and local attention share one map; a causal classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, causal_pad, check, labels_like, steps_apart, top_count
from mgfn.losses import mean_logit


@dataclass(frozen=True)
class Pel4vadConfig:
    """`local`: clips of the local attention. Raises ValueError for impossible settings."""

    channels: int
    width: int = 128
    local: int = 9
    kernel: int = 9
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, width=self.width, local=self.local, kernel=self.kernel)


class SharedAttention(nn.Module):
    """One map of similarities, once over all clips and once over the nearest `local`, mixed: (B, T, C) -> same."""

    def __init__(self, channels: int, width: int, local: int) -> None:
        super().__init__()
        self.reach = local // 2
        self.q, self.k, self.v = (nn.Linear(channels, width) for _ in range(3))
        self.out = nn.Linear(width, channels)
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Parameter(torch.zeros(1))
        self.decay, self.bias = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        apart = steps_apart(x.shape[1], x.device)
        similarity = self.q(x) @ self.k(x).transpose(1, 2) / self.q.out_features**0.5
        similarity = similarity + torch.exp(-(self.decay * apart.square() + self.bias).abs())  # position
        values = self.v(x)
        near = similarity.masked_fill(apart > self.reach, -1e9).softmax(dim=2) @ values
        everywhere = similarity.softmax(dim=2) @ values
        share = torch.sigmoid(self.mix)
        joined: Tensor = self.norm(x + self.out(share * everywhere + (1 - share) * near))
        return joined


class Pel4vad(Baseline):
    """Attention -> 512 -> 300 -> causal convolution over nine clips. Its attention also sees later clips."""

    config: Pel4vadConfig
    missing = "the prompts and text features of its knowledge-based loss (PEL); the visual part alone"

    def __init__(self, config: Pel4vadConfig) -> None:
        super().__init__()
        self.config = config
        self.attention = SharedAttention(config.channels, config.width, config.local)
        self.reduce = nn.Sequential(
            nn.Linear(config.channels, 512), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(512, 300), nn.GELU(), nn.Dropout(config.dropout),
        )  # fmt: skip
        self.classifier = nn.Conv1d(300, 1, config.kernel)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        last = self.reduce(self.attention(bags))
        return last, self.classifier(causal_pad(last.transpose(1, 2), self.config.kernel)).squeeze(1)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        return {"cross-entropy": pel4vad_loss(self.run(bags)[1], labels_like(bags))}


def pel4vad_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of video scores: mean of the top floor(T / 16) + 1 clips if abnormal, the top clip if normal."""
    k = min(top_count(logits.shape[1]), logits.shape[1])
    abnormal = mean_logit(logits.topk(k, dim=1).values, 1)
    video = torch.where(labels > 0.5, abnormal, logits.amax(dim=1))
    return functional.binary_cross_entropy_with_logits(video, labels)
