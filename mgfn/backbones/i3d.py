"""I3D Inception (Carreira & Zisserman 2017), the RGB network of the Kinetics-400 release.

Normalisation is included: uint8 images in, 1024 features out. Padding follows TensorFlow's "SAME" rule, which is
asymmetric for some strides and fixed here by the input size 16 x 224 x 224.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mgfn.weights import FloatArray, WeightsError

Triple = tuple[int, int, int]

CHANNELS: Final = 1024
# Maps whose means over time and space can be output, with their channels; the published feature is the last one's.
LAYERS: Final = {"Mixed_4f": 832, "Mixed_5b": 832, "Mixed_5c": CHANNELS}
CLASSES: Final = 400
_MAP: Final = {"Mixed_4f": (4, 14, 14), "Mixed_5b": (2, 7, 7), "Mixed_5c": (2, 7, 7)}  # time, height, width

# name -> (in, branch 0, branch 1 reduce, branch 1, branch 2 reduce, branch 2, branch 3)
_MIXED: Final[dict[str, tuple[int, int, int, int, int, int, int]]] = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}


def _same_pad(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pad (N, C, T, H, W) like TensorFlow's "SAME": the odd element of a pad goes to the far side."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-int(size) // s) - 1) * s + k - int(size), 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads) if any(pads) else x


class Unit3D(nn.Module):
    """Convolution, BatchNorm (eps 1e-3, no scale) and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple = (1, 1, 1), stride: Triple = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(_same_pad(x, self.kernel, self.stride))))


class MaxPool3dSame(nn.Module):
    """Max pool with "SAME" padding inside the pool: a padded copy would cost OpenVINO 2 % of an INT8 clip.

    TensorFlow pads with zeros. The pooled values are never negative (they follow a ReLU), so a maximum without the
    padding is the same. With stride 2 and even sizes, "SAME" pads only at the far end, which is what `ceil_mode` does.
    """

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.padding = tuple((k - 1) // 2 if s == 1 else 0 for k, s in zip(kernel, stride, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(x, self.kernel, self.stride, self.padding, ceil_mode=True)


class Mixed(nn.Module):
    """Inception block with four branches, concatenated over the channels."""

    def __init__(self, name: str) -> None:
        super().__init__()
        inputs, b0, b1_reduce, b1, b2_reduce, b2, b3 = _MIXED[name]
        self.Branch_0 = nn.ModuleDict({"Conv3d_0a_1x1": Unit3D(inputs, b0)})
        self.Branch_1 = nn.ModuleDict(
            {"Conv3d_0a_1x1": Unit3D(inputs, b1_reduce), "Conv3d_0b_3x3": Unit3D(b1_reduce, b1, (3, 3, 3))}
        )
        self.Branch_2 = nn.ModuleDict(
            {"Conv3d_0a_1x1": Unit3D(inputs, b2_reduce), "Conv3d_0b_3x3": Unit3D(b2_reduce, b2, (3, 3, 3))}
        )
        self.Branch_3 = nn.ModuleDict({"Conv3d_0b_1x1": Unit3D(inputs, b3)})
        self.pool = MaxPool3dSame((3, 3, 3), (1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = []
        for branch, start in (
            (self.Branch_0, x),
            (self.Branch_1, x),
            (self.Branch_2, x),
            (self.Branch_3, self.pool(x)),
        ):
            y = start
            for unit in branch.values():
                y = unit(y)
            branches.append(y)
        return torch.cat(branches, dim=1)


class I3D(nn.Module):
    """RGB clip to feature.

    `forward`: uint8 (N, 16, 224, 224, 3) RGB -> float32 (N, 1024), the mean over the (2, 7, 7) pooled map; with other
    `layers` (names of LAYERS), the means of their maps side by side in that order.

    `logits`: the same input -> float32 (N, 400), the Kinetics-400 classes before the softmax.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers: tuple[str, ...] = ("Mixed_5c",)
        self.Conv3d_1a_7x7 = Unit3D(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = MaxPool3dSame((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = MaxPool3dSame((1, 3, 3), (1, 2, 2))
        self.Mixed_3b = Mixed("Mixed_3b")
        self.Mixed_3c = Mixed("Mixed_3c")
        self.MaxPool3d_4a_3x3 = MaxPool3dSame((3, 3, 3), (2, 2, 2))
        self.Mixed_4b = Mixed("Mixed_4b")
        self.Mixed_4c = Mixed("Mixed_4c")
        self.Mixed_4d = Mixed("Mixed_4d")
        self.Mixed_4e = Mixed("Mixed_4e")
        self.Mixed_4f = Mixed("Mixed_4f")
        self.MaxPool3d_5a_2x2 = MaxPool3dSame((2, 2, 2), (2, 2, 2))
        self.Mixed_5b = Mixed("Mixed_5b")
        self.Mixed_5c = Mixed("Mixed_5c")
        self.Logits = nn.ModuleDict({"Conv3d_0c_1x1": nn.Conv3d(CHANNELS, CLASSES, 1)})

    def maps(self, clips: Tensor) -> list[Tensor]:
        """uint8 (N, 16, 224, 224, 3) -> float32 (N, channels, time, height, width) of each layer of a feature."""
        return [found for _, found in self._maps(clips, self.layers)]

    def _maps(self, clips: Tensor, layers: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        x = clips.permute(0, 4, 1, 2, 3).to(self.Conv3d_1a_7x7.conv.weight.dtype) * (2.0 / 255.0) - 1.0
        for name, module in self.named_children():
            if name != "Logits":
                x = module(x)
            if name in layers:
                yield name, x

    def _pooled(self, clips: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """uint8 (N, 16, 224, 224, 3) -> float32 (N, channels, 1, 1, 1) of each layer, the mean over its map."""
        return [functional.avg_pool3d(x, _MAP[name], (1, 1, 1)) for name, x in self._maps(clips, layers)]

    def forward(self, clips: Tensor) -> Tensor:
        return torch.cat(self._pooled(clips, self.layers), dim=1).flatten(1)

    def logits(self, clips: Tensor) -> Tensor:
        (pooled,) = self._pooled(clips, ("Mixed_5c",))
        scores: Tensor = self.Logits["Conv3d_0c_1x1"](pooled)
        return scores.flatten(1)


def load_kinetics(model: I3D, arrays: Mapping[str, FloatArray]) -> None:
    """Load the released arrays. Every array must have a place, and every parameter must be filled.

    `arrays`: `params/<unit>/Conv_0/kernel` (t, h, w, in, out), `params/<unit>/BatchNorm_0/bias` (out,),
    `batch_stats/<unit>/BatchNorm_0/{mean,var}` (1, 1, 1, 1, out); `Logits` has a kernel and a bias. Raises WeightsError
    that names what is missing, superfluous or misshapen.
    """
    state = dict(model.state_dict())
    # BatchNorm without scale: PyTorch's scale stays one; the batch counter is not used in evaluation.
    places = {_released_key(n): n for n in state if not n.endswith(("bn.weight", "num_batches_tracked"))}
    problems = [f"missing {key} for {name}" for key, name in places.items() if key not in arrays]
    problems += [f"unexpected {key} {array.shape}" for key, array in arrays.items() if key not in places]
    for key in places.keys() & arrays.keys():
        value, wanted = arrays[key], state[places[key]].shape
        if key.endswith("/kernel") and value.ndim == 5:
            value = value.transpose(4, 3, 0, 1, 2)
        elif key.startswith("batch_stats/"):
            value = value.reshape(-1)
        if value.shape == wanted:
            state[places[key]] = torch.from_numpy(np.ascontiguousarray(value))
        else:
            problems.append(f"wrong shape of {key} {arrays[key].shape}, expected as in PyTorch {tuple(wanted)}")
    if problems:
        shown = "; ".join(problems[:4]) + ("; ..." if len(problems) > 4 else "")
        raise WeightsError(f"checkpoint does not fit I3D: {shown}")
    model.load_state_dict(state)


def _released_key(name: str) -> str:
    """State-dict name -> key in the release, as in `Mixed_3b.Branch_0.Conv3d_0a_1x1.bn.running_var`."""
    *unit, leaf = name.split(".")
    if unit[0] == "Logits":
        return f"params/{'/'.join(unit)}/Conv_0/{'kernel' if leaf == 'weight' else leaf}"
    *unit, layer = unit
    if layer == "conv":
        return f"params/{'/'.join(unit)}/Conv_0/kernel"
    if leaf == "bias":
        return f"params/{'/'.join(unit)}/BatchNorm_0/bias"
    return f"batch_stats/{'/'.join(unit)}/BatchNorm_0/{leaf.removeprefix('running_')}"
