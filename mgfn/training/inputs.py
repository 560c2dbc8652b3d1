"""What a standardising network computes from its training features before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from mgfn.extended import Extended
from mgfn.features import FloatArray


@torch.no_grad()
def settle_inputs(head: Extended, videos: Callable[[], Iterable[FloatArray]]) -> None:
    """Set the mean and the deviation of each channel, as the network sees it, over videos (T, crops, C).

    `videos` is called twice and must return the same each time, so that only one video need be in memory. A tenth of
    the mean deviation is added to each, so that channels that hardly vary are not amplified.
    """
    total, count = torch.zeros_like(head.feature_mean, dtype=torch.float64), 0
    for features in videos():
        x = torch.from_numpy(features).flatten(0, 1).to(head.feature_mean.device)
        rooted = x.sign() * x.abs().sqrt() if head.config.root else x
        total += rooted.sum(dim=0, dtype=torch.float64)
        count += len(x)
    head.feature_mean.copy_(total / count)
    first, second = torch.zeros_like(total), torch.zeros_like(total)
    for features in videos():
        x = torch.from_numpy(features).permute(1, 2, 0).to(head.feature_mean.device)  # (crops, C, T)
        seen = head.normalised(x).double()
        first += seen.sum(dim=(0, 2))
        second += seen.square().sum(dim=(0, 2))
    deviation = ((second - first.square() / count).clamp_min(0) / max(1, count - 1)).sqrt()
    head.feature_deviation.copy_(deviation + 0.1 * deviation.mean())
