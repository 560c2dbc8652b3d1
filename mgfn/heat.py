"""Where in a clip the probes of a head found what they look for."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.extended import Ensemble, Extended
from mgfn.network import Head, crops_apart

SIDE: Final = 14  # of a heat map
_STILL: Final = 8  # the frame of the clip that stands for it without movement
_LEAST: Final = 1e-6


def can_be_mapped(backbone: nn.Module, head: Head | None, crops: int) -> bool:
    """Whether there is a heat map for these networks: the feature must be made of the means of maps (`I3D.maps`)."""
    members = _members(head)
    return crops == 1 and hasattr(backbone, "maps") and bool(members) and all(m.config.probes for m in members)


class HeatMap(nn.Module):
    """uint8 (N, 16, 224, 224, 3) clips, float32 (N, T, 1, C) windows that end with them -> float32 (N, 14, 14) >= 0.

    A probe is linear: what a channel adds to its logit is a number, and the channel's map shows where in the clip that
    comes from. Only channels that are more active than usual count: the others say what is missing, which is nowhere.
    The probes count as they do in their soft maximum.

    The map of one frame of the clip, held still, is subtracted: without that, the corners are always the warmest, where
    the convolutions see padding.
    """

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, clips: Tensor, windows: Tensor) -> Tensor:
        given = torch.stack([_given(member, windows) for member in _members(self.head)]).mean(dim=0)  # (N, C)
        still = clips[:, _STILL : _STILL + 1].expand_as(clips)
        heats, at = [], 0
        for layer in self._maps(torch.cat([clips, still])):  # in one pass: the exported graph holds the backbone once
            plane, rest = layer.mean(dim=2).chunk(2)  # (N, channels, height, width)
            shares = (plane - rest) / plane.mean(dim=(2, 3), keepdim=True).clamp_min(_LEAST)
            heat = (shares * given[:, at : at + plane.shape[1], None, None]).sum(dim=1, keepdim=True)
            heats.append(functional.interpolate(heat, (SIDE, SIDE), mode="bilinear", align_corners=False))
            at += plane.shape[1]
        return functional.relu(torch.stack(heats).sum(dim=0))[:, 0]

    def _maps(self, clips: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.backbone.maps(clips)  # type: ignore[operator]
        return maps


def _given(member: Extended, windows: Tensor) -> Tensor:
    """What each channel of the newest clip adds to the soft maximum of the probes: (N, T, 1, C) -> (N, C)."""
    shown = member.standardised(member.normalised(crops_apart(windows)))  # (N, C, T)
    share = member.probes(shown)[..., -1].softmax(dim=1)  # (N, K)
    return (share @ member.probes.weight[..., 0]) * functional.relu(shown[..., -1])


def _members(head: Head | None) -> list[Extended]:
    if isinstance(head, Ensemble):
        return [member for member in head.members if isinstance(member, Extended)]
    return [head] if isinstance(head, Extended) else []
