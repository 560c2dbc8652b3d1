"""MSL (Li, Liu and Jiao, AAAI 2022): the most anomalous run of K clips; K shrinks from T to 1 by self-training.

Written from the abstract and excerpts, without its code. Our readings: the runs of the first stage are ranked by a
video's own scores; in later stages the network's latest scores take their place, which here happens in every step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check, labels_like


@dataclass(frozen=True)
class MslConfig:
    """Raises ValueError for impossible settings; `width` must be divisible by `heads`."""

    channels: int
    width: int = 512
    heads: int = 4
    layers: int = 2
    dropout: float = 0.1
    margin: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, width=self.width, heads=self.heads, layers=self.layers)
        if self.width % self.heads:
            raise ValueError(f"width {self.width}, heads {self.heads}; the width must be divisible by the heads")


class Convolved(nn.Module):
    """A projection as a depthwise convolution over three clips, then a linear map: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        return out


class Block(nn.Module):
    """Pre-normalised attention with convolved projections, then a feed-forward network of twice the width."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v = Convolved(width), Convolved(width), Convolved(width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        # the video's token, position 0, is projected with its neighbours like any clip
        q, k, v = (p(y).unflatten(2, (self.heads, -1)).transpose(1, 2) for p in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.drop(self.out(mixed))
        return x + self.drop(self.mlp(self.norm2(x)))


class Msl(Baseline):
    """A token for the video beside its clips; its probability multiplies the scores of the clips."""

    config: MslConfig

    def __init__(self, config: MslConfig) -> None:
        super().__init__()
        self.config = config
        self.reduce = nn.Linear(config.channels, config.width)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.dropout) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.video, self.clip = nn.Linear(config.width, 1), nn.Linear(config.width, 1)

    def apart(self, bags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Last features (B, T, D), logits of the clips (B, T) and of the video (B,)."""
        x = torch.cat([self.token.expand(len(bags), -1, -1), self.reduce(bags)], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return x[:, 1:], self.clip(x[:, 1:]).squeeze(2), self.video(x[:, 0]).squeeze(1)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        last, logits, video = self.apart(bags)
        p = (torch.sigmoid(logits) * torch.sigmoid(video)[:, None]).clamp(1e-7, 1 - 1e-7)
        return last, torch.logit(p)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        _, logits, video = self.apart(bags)
        run = run_length(bags.shape[1], progress)
        return msl_loss(torch.sigmoid(logits), video, labels_like(bags), run, self.config.margin)


def run_length(clips: int, progress: float) -> int:
    """K at a share of the training: halved from T to 1 in stages of equal length."""
    stages = clips.bit_length()
    return max(1, clips >> int(progress * stages))


def msl_loss(scores: Tensor, video: Tensor, labels: Tensor, run: int, margin: float) -> dict[str, Tensor]:
    """Cross-entropy of the video logits (2B,), and the hinge on the best run of K clips of scores (2B, T).

    max(0, margin - best(abnormal) + best(normal)) over all pairs, best being the largest mean of K successive scores.
    """
    best = scores.unfold(1, run, 1).mean(dim=2).amax(dim=1)  # (2B,)
    normal, abnormal = best[: len(best) // 2], best[len(best) // 2 :]
    return {
        "video": functional.binary_cross_entropy_with_logits(video, labels),
        "run": functional.relu(margin - abnormal[:, None] + normal[None]).mean(),
    }
