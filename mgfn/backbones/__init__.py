"""Registry of backbones. To add one, add a file to this folder, a row here, and a parity test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from mgfn.backbones import i3d, i3d_resnet50, video_swin
from mgfn.weights import check, fetch, pinned, read_arrays


@dataclass(frozen=True)
class Backbone:
    """A clip network: uint8 (N, 16, 224, 224, 3) RGB -> float32 (N, `channels`), normalisation included."""

    name: str
    channels: int
    build: Callable[[], nn.Module]
    """The module without weights."""
    load: Callable[[Path | None], nn.Module]
    """Evaluation-mode module with trained weights, from a file, or from the published source if None."""
    layers: Mapping[str, int] = field(default_factory=dict)
    """Layers whose means it can also output, in the network's order, that of the feature last; with channels."""

    def layers_of(self, channels: int) -> tuple[str, ...] | None:
        """The last layers that together have so many channels; None if there are none."""
        names = tuple(self.layers)
        for first in range(len(names)):
            if sum(self.layers[name] for name in names[first:]) == channels:
                return names[first:]
        return None


def _load_i3d(path: Path | None) -> nn.Module:
    if path is None:
        path = fetch("i3d")
    else:
        check(path, pinned("i3d"), "i3d")
    model = i3d.I3D()
    i3d.load_kinetics(model, read_arrays(path))
    return model.eval()


def show_layers(network: nn.Module, layers: tuple[str, ...]) -> None:
    """Let a network that supports it output the means of these layers side by side, instead of only its feature."""
    assert isinstance(network, i3d.I3D)  # noqa: S101 -- the only one whose row has layers
    network.layers = layers


BACKBONES = {
    spec.name: spec
    for spec in (
        Backbone("i3d", i3d.CHANNELS, i3d.I3D, _load_i3d, i3d.LAYERS),
        Backbone("i3d-r50", i3d_resnet50.CHANNELS, i3d_resnet50.I3DResNet50, i3d_resnet50.load),
        Backbone("videoswin-t", video_swin.CHANNELS, video_swin.VideoSwin, video_swin.load),
        Backbone("videoswin-b", video_swin.CHANNELS_BASE, video_swin.base, video_swin.load_base),
    )
}
