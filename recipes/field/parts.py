"""The parts of a head, its network and its probes, whose logits are added."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from engine.arrays import FloatArray
from mgfn.extended import Extended

Logits = NDArray[np.float64]


def logit(score: FloatArray) -> Logits:
    """The logits of scores, clipped as on the live path."""
    inside = np.clip(score.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)))


def without_probes(head: Extended) -> Extended:
    """A copy of the head with probes that add nothing."""
    changed = deepcopy(head)
    with torch.no_grad():
        changed.get_parameter("probes.weight").zero_()
        bias = changed.get_parameter("probes.bias")
        bias.fill_(-math.log(len(bias)))  # so that their soft maximum, which is added, is 0
    return changed


@torch.inference_mode()
def probe_logits(head: Extended, features: FloatArray) -> Logits:
    """The logit of each probe: features (n, 1, C) -> (n, K)."""
    shown = head.standardised(head.normalised(torch.from_numpy(np.array(features[:, 0])).T[None]))
    return np.asarray(head.probes(shown)[0].T.double().numpy())


def soft_maximum(probes: Logits) -> Logits:
    """What the probes together add to the logit: (n, K) -> (n,)."""
    return np.asarray(np.log(np.exp(probes).sum(axis=1)))


def all_together(network: Logits, probes: Logits) -> Logits:
    """The complete head."""
    return network + soft_maximum(probes)


def probes_alone(_network: Logits, probes: Logits) -> Logits:
    """The head without its network."""
    return soft_maximum(probes)


def network_alone(network: Logits, _probes: Logits) -> Logits:
    """The head without its probes. Its network's logit counts in full; in the complete head it counts half."""
    return 2 * network


def without_tampering(network: Logits, probes: Logits) -> Logits:
    """The head without its last probe."""
    return network + soft_maximum(probes[:, :-1])
