"""What each part of the detector adds: the same heads with a part taken out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final

import torch

from mgfn.network import Head


def _as_it_is(head: Head) -> Head:
    return head


def _without_network(head: Head) -> Head:
    """The probes alone."""
    changed = deepcopy(head)
    with torch.no_grad():
        changed.get_parameter("network.fc.weight").zero_()
        changed.get_parameter("network.fc.bias").zero_()
    return changed


def _without_probes(head: Head) -> Head:
    """MGFN alone, its logit counted whole."""
    changed = deepcopy(head)
    with torch.no_grad():
        changed.get_parameter("probes.weight").zero_()
        bias = changed.get_parameter("probes.bias")
        bias.fill_(-math.log(len(bias)))  # their soft maximum is 0, and is added
        changed.get_parameter("network.fc.weight").mul_(2)
        changed.get_parameter("network.fc.bias").mul_(2)
    return changed


@dataclass(frozen=True)
class Part:
    """`head` changes a trained head, `settings` those of the calibration, `min_duration` (s) the rule."""

    name: str
    head: Callable[[Head], Head] = _as_it_is
    settings: Mapping[str, object] = field(default_factory=dict)
    min_duration: float | None = None


PARTS: Final = (
    Part("probes and MGFN (shipped)"),
    Part("probes alone", _without_network),
    Part("MGFN alone", _without_probes),
    Part("without the camera's own level", settings={"location_weight": 0.0, "location_weight_settled": 0.0}),
    Part("mean of two clips, two in a row", settings={"smoothing": 2}, min_duration=1.0),
)
