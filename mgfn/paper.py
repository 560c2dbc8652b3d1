"""MGFN as in the paper's text (equations 1 to 7, figures 3 to 5).

Where the text leaves a choice, the docstrings of `mgfn.blocks` and `mgfn.losses` state our reading. Training divides a
video into 32 parts and shows the mean of each (T = 32), while a live window has single clips of 0.64 s: measured in
docs/benchmarks/paper-tables.md, with `data.part: clip` as the alternative.

Shapes: B windows of one crop each, T clips, C channels of the backbone, D width of the last stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mgfn.blocks import Block, Blocks, FocusSelfConvolution, GlanceAttention, Kind, heads_of, widen
from mgfn.network import MOST_CHANNELS, Network, check_channels

Structure = Literal["GF", "FG", "FF", "GF-fusion"]


@dataclass(frozen=True)
class PaperConfig:
    """`structure` of figure 5: glance then focus as published, or the others of table 3.

    `alpha` weights the amplified magnitude (eq. 2); 0 omits feature amplification. `widths` of the two stages; None:
    C/32 and C/16 (fused stages are added: both have the second). `reduce_kernel`: number of clips that the reduction
    from C channels sees. `expansion`: of the FFN's hidden layer. Raises ValueError for impossible settings.
    """

    channels: int
    structure: Structure = "GF"
    alpha: float = 0.1
    widths: tuple[int, int] | None = None
    reduce_kernel: int = 3
    expansion: int = 4
    dropout: float = 0.0
    kind: Literal["paper"] = "paper"

    def __post_init__(self) -> None:
        check_channels(self.channels)
        for kind, width in self.stages:
            # normalising one channel leaves only its bias
            if not 2 <= width <= MOST_CHANNELS:
                raise ValueError(f"stage width {width}; must be from 2 to {MOST_CHANNELS}")
            if kind == "glance":
                heads_of(width)
        if not 1 <= self.reduce_kernel <= 31 or self.reduce_kernel % 2 == 0:
            raise ValueError(f"reduce_kernel {self.reduce_kernel}; must be odd, from 1 to 31")
        if not 1 <= self.expansion <= 64:
            raise ValueError(f"expansion {self.expansion}; must be from 1 to 64")
        if not 0 <= self.dropout < 1 or not math.isfinite(self.alpha):
            raise ValueError(f"dropout {self.dropout}, alpha {self.alpha}; must be in [0, 1) and finite")

    @property
    def stages(self) -> tuple[tuple[Kind, int], tuple[Kind, int]]:
        """Kind and width of both stages."""
        narrow, wide = self.widths or (self.channels // 32, self.channels // 16)
        return {
            "GF": (("glance", narrow), ("focus", wide)),
            "FG": (("focus", narrow), ("glance", wide)),
            "FF": (("focus", narrow), ("focus", wide)),
            "GF-fusion": (("glance", wide), ("focus", wide)),
        }[self.structure]  # type: ignore[return-value] # kinds are literals


class Paper(Network):
    """float32 (N, T, P, C) -> MgfnOutput. Any T >= 1."""

    config: PaperConfig

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        (_, first), (_, last) = config.stages
        self.to_tokens = nn.Conv1d(config.channels, first, config.reduce_kernel, padding=config.reduce_kernel // 2)
        if config.alpha:
            self.to_mag = nn.Conv1d(1, config.channels, 3, padding=1)
        stages = []
        for index, (kind, width) in enumerate(config.stages):
            attention = GlanceAttention(width) if kind == "glance" else FocusSelfConvolution(width)
            parts: list[nn.Module] = [Blocks([Block(attention, width, config.expansion, config.dropout)])]
            if index == 0 and config.structure != "GF-fusion":
                parts.append(widen(width, last))
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.drop = nn.Dropout(config.dropout)
        self.to_logits = nn.Sequential(nn.LayerNorm(last))
        self.fc = nn.Linear(last, 1)

    def reduce(self, shown: Tensor, magnitude: Tensor) -> Tensor:
        """Feature amplification (eq. 2), then from C channels to the first stage's: (B, C, T) -> (B, width, T)."""
        if self.config.alpha:
            shown = shown + self.config.alpha * self.to_mag(magnitude)  # (B, C, T)
        tokens: Tensor = self.to_tokens(self.drop(shown))
        return tokens

    def run(self, shown: Tensor, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        x = self.reduce(shown, magnitude)  # (B, width, T)
        if self.config.structure == "GF-fusion":
            x = torch.stack([stage(x) for stage in self.stages]).sum(dim=0)  # (B, D, T)
        else:
            for stage in self.stages:
                x = stage(x)
        last = x.transpose(1, 2)  # (B, T, D)
        logits: Tensor = self.fc(self.drop(self.to_logits(last))).squeeze(-1)  # (B, T)
        return last, logits
