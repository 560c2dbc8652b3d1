"""Wu and Liu (TIP 2021): causal temporal relation, a causal convolution as classifier, compactness and dispersion.

Written from the abstract and excerpts, without its code. Our readings: the relation is attention over the last clips,
of one span for each group of heads; compactness draws normal clips to their mean, dispersion keeps the top clips of
abnormal videos at least a margin away from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, at, bag_cross_entropy, causal_pad, check, labels_like, top_count


@dataclass(frozen=True)
class WuLiuConfig:
    """`spans`: clips that each relation sees, the newest included. Raises ValueError for impossible settings."""

    channels: int
    width: int = 128
    spans: tuple[int, ...] = (5, 32)
    kernel: int = 7
    dropout: float = 0.6
    compactness: float = 0.01
    dispersion: float = 0.01
    margin: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels, self.dropout, width=self.width, kernel=self.kernel, spans=min(self.spans, default=0))


class Relation(nn.Module):
    """Attention over the last `span` clips: (B, T, D) -> (B, T, D)."""

    def __init__(self, width: int, span: int) -> None:
        super().__init__()
        self.span = span
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        back = places[:, None] - places[None]
        seen = (back >= 0) & (back < self.span)  # (T, T)
        weights = self.q(x) @ self.k(x).transpose(1, 2) / x.shape[2] ** 0.5
        mixed: Tensor = weights.masked_fill(~seen, -1e9).softmax(dim=2) @ self.v(x)
        return mixed


class WuLiu(Baseline):
    """Every score depends on its clip and earlier ones only."""

    config: WuLiuConfig
    causal = True

    def __init__(self, config: WuLiuConfig) -> None:
        super().__init__()
        self.config = config
        self.reduce = nn.Sequential(
            nn.Linear(config.channels, 512), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(512, config.width), nn.ReLU(), nn.Dropout(config.dropout),
        )  # fmt: skip
        self.relations = nn.ModuleList(Relation(config.width, span) for span in config.spans)
        self.norm = nn.LayerNorm(config.width)
        self.classifier = nn.Conv1d(config.width, 1, config.kernel)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        x = self.reduce(bags)
        last = self.norm(x + torch.stack([relation(x) for relation in self.relations]).sum(dim=0))
        return last, self.classifier(causal_pad(last.transpose(1, 2), self.config.kernel)).squeeze(1)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        last, logits = self.run(bags)
        c = self.config
        k = top_count(bags.shape[1])
        compact, apart = compactness_and_dispersion(functional.normalize(last, dim=2), logits, k, c.margin)
        return {
            "cross-entropy": bag_cross_entropy(logits, k, labels_like(bags)),
            "compactness": c.compactness * compact,
            "dispersion": c.dispersion * apart,
        }


def compactness_and_dispersion(features: Tensor, logits: Tensor, k: int, margin: float) -> tuple[Tensor, Tensor]:
    """Of features (2B, T, D), the first half normal, with the mean m of all normal clips.

    Compactness: mean |f - m|^2 of normal clips. Dispersion: mean max(0, margin - |f - m|)^2 of the k clips of highest
    logit of each abnormal video.
    """
    half = len(features) // 2
    centre = features[:half].mean(dim=(0, 1))
    top = logits[half:].topk(min(k, logits.shape[1]), dim=1).indices
    away = (at(features[half:], top) - centre).square().sum(dim=2).clamp_min(1e-12).sqrt()
    compact = (features[:half] - centre).square().sum(dim=2).mean()
    return compact, functional.relu(margin - away).square().mean()
