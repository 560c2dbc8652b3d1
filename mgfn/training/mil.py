"""Multiple-instance training of MGFN on streams with video-level labels: one visible loop.

Probes select the incidents' clips (`mgfn.training.probes`), which teach the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mgfn import losses
from mgfn.extended import Extended, ExtendedConfig
from mgfn.training.compose import Composer, Stream
from mgfn.training.inputs import settle_inputs
from mgfn.training.probes import Probe, add_probes, fit_probe, shown


@dataclass(frozen=True)
class MilSettings:
    """Training settings; `smoothness` weights the paper's loss of that name."""

    steps: int = 300
    videos: int = 16  # of each class in a batch
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    smoothness: float = 8e-4
    average_from: float = 0.5  # share of the steps after which weights are averaged
    short_windows: float = 0.25  # share of batches of partly filled windows
    network_share: float = 0.5  # of the network's logits if there are probes


def train(config: ExtendedConfig, composer: Composer, settings: MilSettings, seed: int) -> Extended:
    """A trained head in evaluation mode; its weights are the mean over the last part of training."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    # smoothing would blur which clip is which
    head = Extended(dataclasses.replace(config, probes=0, smoothing=1)).train()
    ordinary = [composer.stream(32, False).features for _ in range(200)]
    settle_inputs(head, lambda: ordinary)
    probes = {tampering: fit_probe(head, composer, tampering) for tampering in composer.kinds}
    optimizer = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, settings.steps)
    average: Extended | None = None
    averaged = 0
    for step in range(settings.steps):
        length = int(rng.integers(2, 32)) if rng.random() < settings.short_windows else 32
        streams = [composer.stream(length, anomalous=i >= settings.videos) for i in range(2 * settings.videos)]
        loss = picked_loss(head, streams, probes, settings)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step >= settings.average_from * settings.steps:
            averaged += 1
            if average is None:
                average = deepcopy(head)
            with torch.no_grad():
                for mean, new in zip(average.parameters(), head.parameters(), strict=True):
                    mean.lerp_(new, 1 / averaged)
    settled = (average or head).eval()
    settle_logits(settled, composer)
    trained = Extended(config).eval()
    trained.load_state_dict(settled.state_dict(), strict=not config.probes)
    if config.probes:
        add_probes(trained, list(probes.values()), settings.network_share)
    return trained


@torch.no_grad()
def settle_logits(head: Extended, composer: Composer, streams: int = 200) -> None:
    """Scale and shift the logits: on composed streams, deviation 2, and -5.5 for the median clip of normal ones.

    So ordinary clips score near 0, and an alarm's threshold is well inside the range. Cross-entropy pushes scores
    towards 0 and 1, by a different amount for each seed; the order of scores does not change.
    """
    logits, normal = [], []
    for index in range(streams):
        anomalous = bool(index % 2)
        stream = composer.stream(32, anomalous)
        out = head(torch.from_numpy(stream.features)[None])
        logits.append(out.logits.mean(dim=1).flatten())  # (T,)
        normal += [] if anomalous else [logits[-1]]
    scale = 2.0 / torch.cat(logits).std()
    fc = head.network.fc
    fc.weight.mul_(scale)
    fc.bias.copy_((fc.bias - torch.cat(normal).median()) * scale - 5.5)


def picked_loss(head: Extended, streams: list[Stream], probes: Mapping[bool, Probe], settings: MilSettings) -> Tensor:
    """Cross-entropy of every clip; those selected as an incident's and all others have equal total weight.

    Only the video-level label of a stream and the kind of its incident are used: the probe of that kind selects.
    """
    normal = np.zeros(len(streams[0].labels), bool)
    picked = [
        probes[stream.tampering].picked(shown(head, stream.features)) if stream.anomalous else normal
        for stream in streams
    ]
    out = head(torch.from_numpy(np.stack([stream.features for stream in streams])))
    labels = torch.from_numpy(np.stack(picked)).float()
    incident, ordinary = labels.sum(), (1 - labels).sum()
    weights = torch.where(labels > 0, 0.5 / incident.clamp_min(1), 0.5 / ordinary.clamp_min(1))
    logits = losses.mean_logit(out.logits, 1)  # (N, T)
    loss = functional.binary_cross_entropy_with_logits(logits, labels, weight=weights, reduction="sum")
    return loss + settings.smoothness * losses.smoothness(out.scores)
