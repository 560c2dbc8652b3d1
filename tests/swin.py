"""Seeded Video Swin weights, and a checkpoint in the published layout: trained weights are not available here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def seed_weights(network: Network, seed: int = 0) -> Network:
    """Weights with which every part has an effect: sharp attention, position biases about one, no neutral norms."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.normal_(0, 1, generator=generator)
            if "norm" in name:
                value.mul_(0.2).add_(float(name.endswith("weight")))
            elif value.ndim > 1 and "table" not in name:
                value.mul_((2 if "qkv" in name else 1) * value[0].numel() ** -0.5)
    return network.eval()


def published(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A checkpoint as published: names prefixed by `backbone.`, with index buffers and a classifier."""
    names = {f"backbone.{name}": value for name, value in state.items()}
    for name in [name for name in names if name.endswith("relative_position_bias_table")]:
        names[name.replace("bias_table", "index")] = torch.zeros((), dtype=torch.int64).expand(392, 392)
    names["cls_head.fc_cls.weight"] = torch.zeros(()).expand(400, 768)
    names["cls_head.fc_cls.bias"] = torch.zeros(()).expand(400)
    return {"meta": {"epoch": 30, "iter": 18780, "mmaction_version": "0.15.0"}, "state_dict": names}
