"""MGFN as released by its authors: their state dict loads name by name.

Shapes: B windows of one crop each, T clips, C channels of the backbone, D width of the last stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from torch import Tensor, nn

from mgfn.blocks import Block, Blocks, FocusConvolution, GlanceAttention, Kind, heads_of, widen
from mgfn.network import MOST_CHANNELS, Network, check_channels

_KINDS: Final[tuple[Kind, Kind, Kind]] = ("glance", "focus", "focus")
_MOST_BLOCKS: Final = 256


@dataclass(frozen=True)
class ReleasedConfig:
    """`widths` and `depths` (blocks) of the three stages: glance, focus, focus.

    `alpha` weights the amplified magnitude (eq. 2). Raises ValueError for impossible settings.
    """

    channels: int = 2048
    alpha: float = 0.1
    widths: tuple[int, int, int] = (64, 128, 1024)
    depths: tuple[int, int, int] = (3, 3, 2)
    kind: Literal["released"] = "released"

    def __post_init__(self) -> None:
        check_channels(self.channels)
        for width, depth in zip(self.widths, self.depths, strict=True):
            # normalising one channel leaves only its bias
            if not 2 <= width <= MOST_CHANNELS or depth < 1:
                raise ValueError(f"a stage of width {width}, depth {depth}; allowed 2 to {MOST_CHANNELS} and from 1")
            heads_of(width)
        if sum(self.depths) > _MOST_BLOCKS:
            raise ValueError(f"{sum(self.depths)} blocks; must be from 1 to {_MOST_BLOCKS}")
        if not math.isfinite(self.alpha) or not self.alpha:
            raise ValueError(f"alpha {self.alpha}, allowed: any number but 0")


class Released(Network):
    """float32 (N, T, P, C) -> MgfnOutput, whose features are the normalised ones. Any T >= 1."""

    config: ReleasedConfig

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.config = config
        self.to_tokens = nn.Conv1d(config.channels, config.widths[0], 3, padding=1)
        self.to_mag = nn.Conv1d(1, config.widths[0], 3, padding=1)
        stages = []
        for index, (kind, width, depth) in enumerate(zip(_KINDS, config.widths, config.depths, strict=True)):
            attention = GlanceAttention if kind == "glance" else FocusConvolution
            parts: list[nn.Module] = [Blocks([Block(attention(width), width) for _ in range(depth)])]
            if index + 1 < len(config.widths):
                parts.append(widen(width, config.widths[index + 1]))
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.to_logits = nn.Sequential(nn.LayerNorm(config.widths[-1]))
        self.fc = nn.Linear(config.widths[-1], 1)

    def reduce(self, shown: Tensor, magnitude: Tensor) -> Tensor:
        """From C channels to the first stage's, then feature amplification: (B, C, T) -> (B, width, T)."""
        tokens: Tensor = self.to_tokens(shown)
        return tokens + self.config.alpha * self.to_mag(magnitude)

    def run(self, shown: Tensor, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        x = self.reduce(shown, magnitude)  # (B, width, T)
        for stage in self.stages:
            x = stage(x)
        last = self.to_logits(x.transpose(1, 2))  # (B, T, D)
        logits: Tensor = self.fc(last).squeeze(-1)  # (B, T)
        return last, logits
