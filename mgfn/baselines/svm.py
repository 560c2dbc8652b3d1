"""Linear SVM: each clip takes the label of its video."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from mgfn.baselines.base import Baseline, check, labels_like


@dataclass(frozen=True)
class SvmConfig:
    """`cost` is the C of the hinge loss. Raises ValueError for impossible settings."""

    channels: int
    cost: float = 1.0

    def __post_init__(self) -> None:
        check(self.channels)


class Svm(Baseline):
    """w . x + b on features of length one; a score is the sigmoid of it, which keeps the order."""

    config: SvmConfig
    causal = True

    def __init__(self, config: SvmConfig) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.channels, 1)

    def run(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.normalize(bags, dim=2)
        return x, self.linear(x).squeeze(2)

    def loss_terms(self, bags: Tensor, progress: float) -> dict[str, Tensor]:
        _, margins = self.run(bags)
        return svm_loss(margins, labels_like(bags), self.linear.weight, self.config.cost)


def svm_loss(margins: Tensor, labels: Tensor, weight: Tensor, cost: float) -> dict[str, Tensor]:
    """|w|^2 / (2 n) + C mean max(0, 1 - y (w . x + b)), y = -1 or 1, of n clips with margins (B, T)."""
    y = 2 * labels[:, None] - 1
    return {
        "hinge": cost * functional.relu(1 - y * margins).mean(),
        "norm": weight.square().sum() / (2 * margins.numel()),
    }
