"""Our own head: an MGFN network, with additions for few training videos and for live cameras.

Shapes: N windows, T clips, P crops, B = N * P, C channels of the backbone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mgfn.network import Head, MgfnOutput, Network, crops_apart, magnitude_of, output_of
from mgfn.paper import Paper, PaperConfig
from mgfn.released import Released, ReleasedConfig

NetworkConfig = Annotated[PaperConfig | ReleasedConfig, Field(discriminator="kind")]
_MOST_MEMBERS = 32


@dataclass(frozen=True)
class ExtendedConfig:
    """What is added to `network`. It sees features as deviations from a mean; both are learned in training.

    `root` first takes the square root of each feature's magnitude, so that a few large channels do not dominate.

    `relative` shows the network what differs from the scene: the mean of the window's clips is subtracted, together
    with the training mean, which counts as `scene_prior` clips. A window of one clip is compared only with the training
    mean.

    `probes` is the number of linear probes on the network's input; their soft maximum is added to its logit.
    One by one they are the head's `parts`.

    `smoothing`: a clip's score is the mean of its own and the preceding ones, so many in total (the first clip's own
    replaces missing ones). Alarms no longer flicker, and come half of that later.

    `members` networks of the same shape, trained separately, score together (see `make_extended`).

    Raises ValueError for impossible settings.
    """

    network: NetworkConfig
    root: bool = False
    relative: bool = False
    scene_prior: float = 4.0
    probes: int = 0
    smoothing: int = 1
    members: int = 1
    kind: Literal["extended"] = "extended"

    def __post_init__(self) -> None:
        if not 0 < self.scene_prior <= 1000:
            raise ValueError(f"scene_prior {self.scene_prior}; must be above 0 and at most 1000")
        if not 1 <= self.smoothing <= 32 or not 0 <= self.probes <= 32:
            raise ValueError(f"smoothing {self.smoothing}, probes {self.probes}; must be from 1 to 32 and from 0 to 32")
        if not 1 <= self.members <= _MOST_MEMBERS:
            raise ValueError(f"{self.members} members; must be from 1 to {_MOST_MEMBERS}")

    @property
    def channels(self) -> int:
        return self.network.channels


class Extended(Head):
    """float32 (N, T, P, C) -> MgfnOutput. Any T >= 1."""

    config: ExtendedConfig
    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, config: ExtendedConfig) -> None:
        super().__init__()
        self.config = config
        self.network: Network = make_network(config.network)
        if config.probes:
            self.probes = nn.Conv1d(config.channels, config.probes, 1)
        self.register_buffer("feature_mean", torch.zeros(config.channels))
        self.register_buffer("feature_deviation", torch.ones(config.channels))

    def normalised(self, x: Tensor) -> Tensor:
        """Features with the settings `root` and `relative` applied: (B, C, T) -> (B, C, T)."""
        if self.config.root:
            x = x.sign() * x.abs().sqrt()
        if self.config.relative:
            prior = self.config.scene_prior
            scene = (x.sum(dim=-1) + prior * self.feature_mean) / (x.shape[-1] + prior)  # (B, C)
            return x - scene[:, :, None]
        return x

    def standardised(self, x: Tensor) -> Tensor:
        """Normalised features in deviations from their mean: (B, C, T) -> (B, C, T)."""
        centred = x if self.config.relative else x - self.feature_mean[:, None]
        return centred / self.feature_deviation[:, None]

    def forward(self, features: Tensor) -> MgfnOutput:
        x = self.normalised(crops_apart(features))  # (B, C, T)
        shown = self.standardised(x)
        last, logits = self.network.run(shown, magnitude_of(x))  # (B, T, D), (B, T)
        parts: Tensor | None = None
        if self.config.probes:
            probed = self.probes(shown)  # (B, K, T)
            logits = logits + probed.logsumexp(dim=1)
            parts = probed.unflatten(0, (-1, features.shape[2])).mean(dim=1).transpose(1, 2)  # (N, T, K)
        out = output_of(last, logits, crops=features.shape[2])._replace(parts=parts)
        if (clips := self.config.smoothing) == 1:
            return out
        padded = functional.pad(out.scores[:, None], (clips - 1, 0), mode="replicate")  # (N, 1, T + clips - 1)
        return out._replace(scores=functional.avg_pool1d(padded, clips, stride=1)[:, 0])


class Ensemble(Head):
    """Several heads of one configuration, trained from different seeds; scores are their mean.

    A head trained on few videos varies with its seed; the mean varies much less. `features` are side by side.
    """

    config: ExtendedConfig

    def __init__(self, config: ExtendedConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList([Extended(config) for _ in range(config.members)])

    def forward(self, features: Tensor) -> MgfnOutput:
        outputs: list[MgfnOutput] = [member(features) for member in self.members]
        parts = [out.parts for out in outputs if out.parts is not None]
        return MgfnOutput(
            torch.stack([out.scores for out in outputs]).mean(dim=0),
            torch.stack([out.magnitudes for out in outputs]).mean(dim=0),
            torch.cat([out.features for out in outputs], dim=-1),
            torch.cat([out.logits for out in outputs], dim=1),  # as crops: the mean over both is the members' mean
            torch.stack(parts).mean(dim=0) if parts else None,
        )


def make_network(config: PaperConfig | ReleasedConfig) -> Network:
    """The network of a configuration, untrained."""
    return Paper(config) if isinstance(config, PaperConfig) else Released(config)


def make_extended(config: ExtendedConfig) -> Extended | Ensemble:
    """The head of a configuration, untrained."""
    return Extended(config) if config.members == 1 else Ensemble(config)
