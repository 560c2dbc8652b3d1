"""The common interface of all heads: windows of features to scores.

`mgfn.paper` is MGFN, the Magnitude-Contrastive Glance-and-Focus Network (Chen et al., AAAI 2023), as in the paper;
`mgfn.released` is the version released by its authors; `mgfn.extended` adds what this project needs to either.
Baselines are in `mgfn.baselines`. The two versions of MGFN differ:

| | paper | released |
|---|---|---|
| feature amplification (eq. 1, 2) | added to the C channels, before they are reduced | added to the reduced ones |
| glance, focus | 1 block of C/32, 1 block of C/16 | 3 of 64, 3 of 128, 2 more focus blocks of 1024 |
| self-attentional convolution | no weights except its norm's (eq. 6, 7) | a learned kernel of 5 clips for each head |
| magnitude of a clip | of the last block's output (eq. 9) | of that output after its layer normalisation |

Shapes: N windows (or videos), T clips, P crops, B = N * P, C channels of the backbone, D width of the last stage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

MOST_CHANNELS = 1 << 14


class MgfnOutput(NamedTuple):
    """The output of a head.

    scores: (N, T) in [0, 1], mean over crops. features: (N, P, T, D), the last ones (f_FB of eq. 9), or in the released
    network their normalised form. magnitudes: (N, T), their L2 norm, mean over crops. logits: (N, P, T), of each crop,
    before the sigmoid, the mean over crops and any smoothing; losses use them, because a score of exactly 0 or 1 has no
    gradient. parts: (N, T, K), logits of K kinds of incident, mean over crops; None if the head distinguishes none.
    """

    scores: Tensor
    magnitudes: Tensor
    features: Tensor
    logits: Tensor
    parts: Tensor | None = None

    def float(self) -> MgfnOutput:
        """The same values as float32; losses need them so after mixed precision."""
        return self._replace(
            scores=self.scores.float(),
            magnitudes=self.magnitudes.float(),
            features=self.features.float(),
            logits=self.logits.float(),
            parts=None if self.parts is None else self.parts.float(),
        )


class HeadConfig(Protocol):
    """The configuration of a head: a dataclass of plain values, saved with the weights."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def channels(self) -> int: ...


class Head(nn.Module):
    """Scores windows of features: float32 (N, T, P, C) -> MgfnOutput. Any T >= 1.

    causal: whether no score depends on a later clip.
    """

    config: HeadConfig
    causal: bool = False

    def not_live(self) -> str:
        """Why this head cannot score the clips of a camera, in one line; empty if it can."""
        return ""


class Network(Head, ABC):
    """MGFN in either form. `run` is the network itself; `forward` separates and joins crops."""

    to_logits: nn.Sequential
    fc: nn.Linear

    @abstractmethod
    def run(self, shown: Tensor, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, T) and their magnitude (B, 1, T) -> last features (B, T, D), logits (B, T)."""

    def forward(self, features: Tensor) -> MgfnOutput:
        x = crops_apart(features)  # (B, C, T)
        last, logits = self.run(x, magnitude_of(x))
        return output_of(last, logits, crops=features.shape[2])


def crops_apart(features: Tensor) -> Tensor:
    """(N, T, P, C) -> (N * P, C, T): each crop is a separate window."""
    return features.permute(0, 2, 3, 1).flatten(0, 1)


def magnitude_of(x: Tensor) -> Tensor:
    """Equation 1, the L2 norm of each clip's feature: (B, C, T) -> (B, 1, T)."""
    return x.square().sum(dim=1, keepdim=True).sqrt()


def output_of(last: Tensor, logits: Tensor, crops: int) -> MgfnOutput:
    """Last features (B, T, D) and logits (B, T), with crops joined again."""
    logits = logits.unflatten(0, (-1, crops))  # (N, P, T)
    last = last.unflatten(0, (-1, crops))  # (N, P, T, D)
    # the root of a sum of squares has no slope at zero
    magnitudes = last.square().sum(dim=-1).clamp_min(1e-12).sqrt().mean(dim=1)  # (N, T)
    return MgfnOutput(torch.sigmoid(logits).mean(dim=1), magnitudes, last, logits)


def check_channels(channels: int) -> None:
    """Raise ValueError unless a network can have so many channels."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise ValueError(f"channels {channels}; must be from 1 to {MOST_CHANNELS}")
