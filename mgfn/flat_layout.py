"""The first layout of our checkpoints: one flat configuration for every MGFN network, weights without prefixes.

Heads saved in it can still be read; nothing is saved in it any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mgfn.blocks import Kind
from mgfn.extended import ExtendedConfig
from mgfn.paper import PaperConfig, Structure
from mgfn.released import ReleasedConfig

_STRUCTURES: dict[tuple[Kind, ...], Structure] = {
    ("glance", "focus"): "GF",
    ("focus", "glance"): "FG",
    ("focus", "focus"): "FF",
}


@dataclass(frozen=True)
class FlatStage:
    """Blocks of one kind and width."""

    kind: Kind
    width: int
    depth: int


@dataclass(frozen=True)
class FlatConfig:
    """The fields as they were saved, with the defaults of that time. See `network` for their present meaning."""

    channels: int
    stages: tuple[FlatStage, ...]
    alpha: float = 0.1
    amplify_reduced: bool = False
    fusion: bool = False
    weightless: bool = True
    normalised_magnitude: bool = True
    reduce_kernel: int = 3
    expansion: int = 4
    dropout: float = 0.0
    standardise: bool = False
    root: bool = False
    relative: bool = False
    scene_prior: float = 4.0
    probes: int = 0
    smoothing: int = 1
    members: int = 1

    @property
    def network(self) -> PaperConfig | ReleasedConfig | ExtendedConfig:
        """The present configuration. Raises ValueError if there is none."""
        core = self._released() if self.amplify_reduced else self._paper()
        plain = (self.standardise, self.root, self.relative) == (False, False, False)
        if plain and (self.probes, self.smoothing, self.members) == (0, 1, 1):
            return core
        return ExtendedConfig(
            core, self.root, self.relative, self.scene_prior, self.probes, self.smoothing, self.members
        )

    def _paper(self) -> PaperConfig:
        kinds = tuple(stage.kind for stage in self.stages)
        widths = tuple(stage.width for stage in self.stages)
        one_each = kinds in _STRUCTURES and all(stage.depth == 1 for stage in self.stages)
        fused = not self.fusion or (kinds == ("glance", "focus") and widths[0] == widths[-1])
        # with normalised magnitudes scores are the same: they are only used in training
        if not (one_each and fused and self.weightless):
            raise ValueError(f"stages {self._shown()} are neither the paper's network nor the released one")
        return PaperConfig(
            self.channels,
            "GF-fusion" if self.fusion else _STRUCTURES[kinds],
            self.alpha,
            (widths[0], widths[1]),
            self.reduce_kernel,
            self.expansion,
            self.dropout,
        )

    def _released(self) -> ReleasedConfig:
        kinds = tuple(stage.kind for stage in self.stages)
        others = (self.fusion, self.weightless, self.reduce_kernel, self.expansion, self.dropout)
        if kinds != ("glance", "focus", "focus") or others != (False, False, 3, 4, 0.0):
            raise ValueError(f"stages {self._shown()} are neither the paper's network nor the released one")
        first, second, third = self.stages
        widths = (first.width, second.width, third.width)
        return ReleasedConfig(self.channels, self.alpha, widths, (first.depth, second.depth, third.depth))

    def _shown(self) -> str:
        shown = [f"{stage.kind} {stage.width} x {stage.depth}" for stage in self.stages[:3]]
        return ", ".join(shown + ["..."] * (len(self.stages) > 3)) or "none"


def renamed(state: Mapping[str, Tensor], config: FlatConfig) -> dict[str, Tensor]:
    """The weights with their present names; a mean and a deviation without effect, if there were none."""
    if not isinstance(config.network, ExtendedConfig):
        return dict(state)
    found = {}
    for name, value in state.items():
        prefix, own = re.fullmatch(r"(members\.\d+\.|)(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
        around = own.startswith(("feature_mean", "feature_deviation", "probes."))
        found[f"{prefix}{own}" if around else f"{prefix}network.{own}"] = value
    if not config.standardise:
        prefixes = [f"members.{index}." for index in range(config.members)] if config.members > 1 else [""]
        for prefix in prefixes:
            found.setdefault(f"{prefix}feature_mean", torch.zeros(config.channels))
            found.setdefault(f"{prefix}feature_deviation", torch.ones(config.channels))
    return found
