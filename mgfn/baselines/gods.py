"""BODS and GODS (Wang and Cherian, ICCV 2019): two orthonormal frames sandwich normal clips. BODS has one vector each.

Written from the equations; the published code was read for facts only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check
from mgfn.baselines.ssvdd import orthonormal_columns


@dataclass(frozen=True)
class GodsConfig:
    """`width` K of each frame (1: BODS), margin `eta`, weight `spread` (lambda). Raises ValueError."""

    channels: int
    width: int = 3
    eta: float = 0.01
    spread: float = 0.01

    def __post_init__(self) -> None:
        check(self.channels, width=self.width)
        if self.width > self.channels:
            raise ValueError(f"width {self.width}; must be at most the {self.channels} channels")


class Gods(Baseline):
    """One-class: learns from normal videos only, features of length one. Frames stay orthonormal by retraction.

    Published with Riemannian conjugate gradient on all clips; here gradient steps on batches, each followed by a QR
    retraction. A logit is the larger violation of either side, negative between both.
    """

    config: GodsConfig
    causal = True

    def __init__(self, config: GodsConfig) -> None:
        super().__init__()
        self.config = config
        self.above = nn.Parameter(torch.empty(config.channels, config.width))
        self.below = nn.Parameter(torch.empty(config.channels, config.width))
        nn.init.orthogonal_(self.above)
        nn.init.orthogonal_(self.below)
        self.bias1, self.bias2 = nn.Parameter(torch.zeros(config.width)), nn.Parameter(torch.zeros(config.width))

    def sides(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        """W1^T x + b1 and W2^T x + b2: (B, T, K) each."""
        x = functional.normalize(bags, dim=2)
        return x @ self.above + self.bias1, x @ self.below + self.bias2

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        first, second = self.sides(bags)
        eta = self.config.eta
        violation = torch.maximum(eta - first.amin(dim=2), eta + second.amax(dim=2))
        return torch.cat([first, second], dim=2), violation

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        first, second = self.sides(bags[: len(bags) // 2])
        return gods_loss(first, second, self.config.eta, self.config.spread)

    @torch.no_grad()
    def after_step(self) -> None:
        for frame in (self.above, self.below):
            frame.copy_(orthonormal_columns(frame))


def gods_loss(first: Tensor, second: Tensor, eta: float, spread: float) -> dict[str, Tensor]:
    """Mean over clips of [eta - min(first)]_+^2, [eta + max(second)]_+^2 and lambda (|first|^2 + |second|^2)."""
    return {
        "above": functional.relu(eta - first.amin(dim=2)).square().mean(),
        "below": functional.relu(eta + second.amax(dim=2)).square().mean(),
        "spread": spread * (first.square() + second.square()).sum(dim=2).mean(),
    }
