"""Linear probes beside a trained network: ridge regression on single clips of composed streams, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from mgfn.network import Mgfn
from mgfn.training.compose import Composer

# A probe's value is near 0 for ordinary clips and near 1 for incidents: as logits, -4 and 2.
_SLOPE, _OFFSET = 6.0, -4.0


@torch.no_grad()
def fit_probes(head: Mgfn, composer: Composer, network_share: float, streams: int = 600, penalty: float = 2.6) -> None:
    """Give each of the head's probes one kind of incident of the composer; the network's own logits count less.

    A network that learnt from few recordings calls some ordinary clip an incident with all its conviction; a heavily
    penalised ridge regression (`penalty` for each clip) seldom does, and knows nothing of what came before.
    Raises ValueError if there are other than as many kinds as probes.
    """
    if len(composer.kinds) != head.config.probes:
        raise ValueError(f"{head.config.probes} probes for {len(composer.kinds)} kinds of incident")
    for index, tampering in enumerate(composer.kinds):
        # every other pair is a window that fills up: there a scene is seen as it is, less the training mean
        lengths = [32 if i % 4 < 2 else 1 + i % 31 for i in range(streams)]
        found = [composer.stream(length, bool(i % 2), tampering) for i, length in enumerate(lengths)]
        x = torch.cat([_shown(head, torch.from_numpy(stream.features)) for stream in found])
        y = torch.cat([torch.from_numpy(stream.labels).repeat_interleave(stream.features.shape[1]) for stream in found])
        slopes, intercept = ridge(x, y.double(), penalty)
        head.get_parameter("probes.weight")[index, :, 0] = _SLOPE * slopes
        head.get_parameter("probes.bias")[index] = _SLOPE * intercept + _OFFSET
    head.fc.weight.mul_(network_share)
    head.fc.bias.mul_(network_share)


def _shown(head: Mgfn, features: Tensor) -> Tensor:
    """What the network is shown of a stream (T, crops, C): (T * crops, C)."""
    x = head.standardised(head.normalised(features.permute(1, 2, 0)))  # (crops, C, T)
    return x.permute(2, 0, 1).flatten(0, 1)


def ridge(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Slopes (C,) and intercept of y in {0, 1} on x (n, C), both classes weighing alike, in float64.

    Least squares with weights of mean 1, plus `penalty` times n times the squared slopes.
    """
    x = x.double()
    weights = torch.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    mean_x, mean_y = (weights[:, None] * x).mean(dim=0), (weights * y).mean()
    weighted = (x - mean_x) * weights[:, None]
    gram = weighted.T @ (x - mean_x) / len(x)
    slopes = torch.linalg.solve(
        gram + penalty * torch.eye(len(gram), dtype=x.dtype), weighted.T @ (y - mean_y) / len(x)
    )
    return slopes, mean_y - mean_x @ slopes
