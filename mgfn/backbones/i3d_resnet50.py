"""I3D-ResNet50, the network behind the published 2048-channel UCF-Crime features (without non-local blocks).

The user provides its weights: a state dict in the published layout, including the Kinetics-400 classifier.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from mgfn.weights import WeightsError, filled, read_dict

CHANNELS: Final = 2048
CLASSES: Final = 400

_EXPANSION: Final = 4


class Bottleneck(nn.Module):
    """1x1x1 (or 3x1x1) reduction, 1x3x3 with the stride, 1x1x1 expansion, with a residual connection around them."""

    def __init__(self, inputs: int, width: int, stride: int, temporal: bool) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        kernel, padding = ((3, 1, 1), (1, 0, 0)) if temporal else ((1, 1, 1), (0, 0, 0))
        self.conv1 = nn.Conv3d(inputs, width, kernel, padding=padding, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False), nn.BatchNorm3d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _layer(inputs: int, width: int, stride: int, temporal: tuple[bool, ...]) -> nn.Sequential:
    """The bottlenecks of one layer; `temporal` says which of them look at three frames."""
    first = Bottleneck(inputs, width, stride, temporal[0])
    return nn.Sequential(first, *(Bottleneck(width * _EXPANSION, width, 1, t) for t in temporal[1:]))


class I3DResNet50(nn.Module):
    """RGB clip to feature: uint8 (N, 16, 224, 224, 3) -> float32 (N, 2048); its input is scaled to `x * 2 / 255 -
    1`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, (5, 7, 7), 2, (2, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.layer1 = _layer(64, 64, 1, (True, True, True))
        self.layer2 = _layer(256, 128, 2, (True, False, True, False))
        self.layer3 = _layer(512, 256, 2, (True, False, True, False, True, False))
        self.layer4 = _layer(1024, 512, 2, (False, True, False))
        self.fc = nn.Linear(CHANNELS, CLASSES)

    def forward(self, clips: Tensor) -> Tensor:
        x = clips.permute(0, 4, 1, 2, 3).to(self.conv1.weight.dtype) * (2.0 / 255.0) - 1.0
        x = functional.relu(self.bn1(self.conv1(x)))  # (N, 64, 8, 112, 112)
        x = functional.max_pool3d(x, (2, 3, 3), 2)  # (N, 64, 4, 55, 55)
        x = self.layer1(x)
        x = functional.max_pool3d(x, (2, 1, 1), (2, 1, 1))  # (N, 256, 2, 55, 55)
        x = self.layer3(self.layer2(x))
        features: Tensor = self.layer4(x).mean(dim=(2, 3, 4))  # of (N, 2048, 2, 7, 7)
        return features


def load(path: Path | None) -> I3DResNet50:
    """The network with the weights of a published checkpoint, in evaluation mode.

    Raises WeightsError without a file, for one that is not a state dict, and if keys or shapes differ.
    """
    if path is None:
        raise WeightsError(
            "backbone i3d-r50 has no weights that can be downloaded: provide the published state dict "
            "(i3d_r50_kinetics.pth or similar; keys conv1.weight ... fc.bias) with --backbone-weights FILE"
        )
    return filled(I3DResNet50, read_dict(path, "i3d-r50"), path, "i3d-r50")
