"""Small networks whose weights are seeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import torch

from mgfn.network import Head
from mgfn.released import ReleasedConfig

Config = TypeVar("Config")
AnyHead = TypeVar("AnyHead", bound=Head)

SMALL_RELEASED: Final = ReleasedConfig(96, widths=(64, 128, 256), depths=(2, 2, 1))


def seeded(make: Callable[[Config], AnyHead], config: Config) -> AnyHead:
    """A head in evaluation mode, none of whose weights has its initial value."""
    torch.manual_seed(0)
    head = make(config).eval()
    for name, tensor in head.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point():
            tensor.add_(0.05 * torch.randn_like(tensor))
    return head
