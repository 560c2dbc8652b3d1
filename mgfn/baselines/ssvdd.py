"""Subspace SVDD (Sohrab et al., ICPR 2018): the smallest ball around normal clips, in a subspace learned with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check


@dataclass(frozen=True)
class SsvddConfig:
    """`width` d of the subspace; `cost` bounds the dual variables; `memory` of the centre. Raises ValueError."""

    channels: int
    width: int = 2
    cost: float = 0.1
    regular: float = 0.01
    memory: float = 0.9

    def __post_init__(self) -> None:
        check(self.channels, width=self.width)
        if self.width > self.channels:
            raise ValueError(f"width {self.width}; must be at most the {self.channels} channels")


class Ssvdd(Baseline):
    """One-class: learns from normal videos only. A logit is the squared distance to the centre minus the radius's.

    As published, the dual and a gradient step of Q alternate, and Q is made orthonormal again; here on one batch at a
    time, so that the centre is a running mean.
    """

    config: SsvddConfig
    causal = True
    centre: Tensor
    radius: Tensor
    started: Tensor

    def __init__(self, config: SsvddConfig) -> None:
        super().__init__()
        self.config = config
        self.q = nn.Parameter(torch.empty(config.width, config.channels))
        nn.init.orthogonal_(self.q)
        self.register_buffer("centre", torch.zeros(config.width))
        self.register_buffer("radius", torch.zeros(()))
        self.register_buffer("started", torch.zeros(()))

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        y = functional.normalize(bags, dim=2) @ self.q.T
        return y, (y - self.centre).square().sum(dim=2) - self.radius

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        y = (functional.normalize(bags[: len(bags) // 2], dim=2) @ self.q.T).flatten(0, 1)  # (n, d), normal alone
        alpha = dual(y.detach(), self.config.cost)
        with torch.no_grad():
            keep = self.config.memory if bool(self.started) else 0.0
            centre = alpha @ y
            self.centre.lerp_(centre, 1 - keep)
            self.radius.lerp_(((y - centre).square().sum(dim=1) * alpha).sum(), 1 - keep)
            self.started.fill_(1.0)
        return {
            "ball": lagrangian(y, alpha),
            "regular": self.config.regular * (alpha @ y).square().sum(),
        }

    @torch.no_grad()
    def after_step(self) -> None:
        self.q.copy_(orthonormal_columns(self.q.T).T)


def lagrangian(y: Tensor, alpha: Tensor) -> Tensor:
    """sum alpha_i |y_i|^2 - |sum alpha_i y_i|^2; its gradient in Q is 2 Q X (diag alpha - alpha alpha^T) X^T."""
    return (alpha * y.square().sum(dim=1)).sum() - (alpha @ y).square().sum()


def dual(y: Tensor, cost: float, rounds: int = 30) -> Tensor:
    """alpha (n,) that maximises `lagrangian` with 0 <= alpha <= C and sum 1, by projected gradient.

    C is raised to 1 / n where no alpha could sum to 1 otherwise.
    """
    count = len(y)
    cost = max(cost, 1.0 / count)
    norms = y.square().sum(dim=1)
    alpha = torch.full((count,), 1.0 / count, dtype=y.dtype, device=y.device)
    step = 0.5 / torch.linalg.eigvalsh(y.T @ y)[-1].clamp_min(1e-12)  # the gradient's Lipschitz constant
    for _ in range(rounds):
        alpha = onto_simplex(alpha + step * (norms - 2 * (y @ (alpha @ y))), cost)
    return alpha


def onto_simplex(values: Tensor, cap: float) -> Tensor:
    """The nearest point with entries from 0 to `cap` and sum 1, by bisection of the shift."""
    low, high = values.min() - cap, values.max()
    for _ in range(24):
        middle = (low + high) / 2
        above = (values - middle).clamp(0, cap).sum() > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (values - (low + high) / 2).clamp(0, cap)


def orthonormal_columns(matrix: Tensor) -> Tensor:
    """The orthonormal frame of the QR decomposition, each column with the direction it had."""
    frame, upper = torch.linalg.qr(matrix)
    return frame * torch.where(upper.diagonal() < 0, -1.0, 1.0)
