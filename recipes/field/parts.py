"""A head's parts apart: its network and its probes, which add up in its logit."""

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
    """Of scores in [0, 1], no farther from 0 and 1 than live."""
    inside = np.clip(score.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)))


def without_probes(head: Extended) -> Extended:
    """The same with probes that add nothing."""
    changed = deepcopy(head)
    with torch.no_grad():
        changed.get_parameter("probes.weight").zero_()
        bias = changed.get_parameter("probes.bias")
        bias.fill_(-math.log(len(bias)))  # their soft maximum is 0, and is added
    return changed


@torch.inference_mode()
def probe_logits(head: Extended, features: FloatArray) -> Logits:
    """Of each probe alone: features (n, 1, C) -> (n, K)."""
    shown = head.standardised(head.normalised(torch.from_numpy(np.array(features[:, 0])).T[None]))
    return np.asarray(head.probes(shown)[0].T.double().numpy())


def soft_maximum(probes: Logits) -> Logits:
    """What the probes together add to the logit: (n, K) -> (n,)."""
    return np.asarray(np.log(np.exp(probes).sum(axis=1)))


def all_together(network: Logits, probes: Logits) -> Logits:
    """As the head has it."""
    return network + soft_maximum(probes)


def probes_alone(_network: Logits, probes: Logits) -> Logits:
    """Without the network."""
    return soft_maximum(probes)


def network_alone(network: Logits, _probes: Logits) -> Logits:
    """Without the probes; beside them its logit counts half, alone whole."""
    return 2 * network


def without_tampering(network: Logits, probes: Logits) -> Logits:
    """Without the last probe."""
    return network + soft_maximum(probes[:, :-1])
