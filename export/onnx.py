"""PyTorch to ONNX: the graphs of a bundle; backbone and head in float32 or half precision."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from configs.sizes import CLIP_LENGTH, WINDOW
from mgfn.heat import HeatMap

OPSET: Final = 18


Outputs = Tensor | tuple[Tensor, ...]


class _Head(nn.Module):
    """The head as the bundle exposes it: features to scores and, with `kinds`, parts."""

    def __init__(self, head: nn.Module, kinds: bool) -> None:
        super().__init__()
        self.head = head
        self.kinds = kinds

    def forward(self, features: Tensor) -> Outputs:
        out = self.head(features)
        scores: Tensor = out.scores
        return (scores, out.parts) if self.kinds else scores


class _Half(nn.Module):
    """A network in half precision between float32 (or uint8) and float32.

    Whole numbers up to 2048 are exact in half precision, so images lose nothing. They are converted first, because
    TensorRT accepts uint8 only as a network input.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, given: Tensor) -> Outputs:
        out: Outputs = self.network(given.to(torch.float16))
        return tuple(each.float() for each in out) if isinstance(out, tuple) else out.float()


def export_backbone(backbone: nn.Module, path: Path, half: bool = False) -> None:
    """Write `clips` uint8 (N, 16, 224, 224, 3) RGB -> `features` float32 (N, C), N dynamic.

    `half`: weights and everything between input and output are in half precision, with types in the graph.
    """
    example = torch.zeros(2, CLIP_LENGTH, 224, 224, 3, dtype=torch.uint8)
    _export(
        _Half(backbone) if half else backbone,
        {"clips": example},
        path,
        ["features"],
        ({0: torch.export.Dim("N", min=1, max=4096)},),
    )


def export_head(
    head: nn.Module, channels: int, crops: int, path: Path, *, kinds: bool = False, half: bool = False
) -> None:
    """Write `windows` float32 (N, T, crops, C) -> `scores` float32 (N, T), N and T (1..32) dynamic.

    With `kinds` a second output, `parts` float32 (N, T, K). `head` returns an object with `scores` (N, T) and, then,
    `parts`; it is in evaluation mode. `half` as for the backbone.
    """
    example = torch.zeros(2, WINDOW // 2, crops, channels)
    axes = {0: torch.export.Dim("N", min=1, max=4096), 1: torch.export.Dim("T", min=1, max=WINDOW)}
    shown, wanted = _Head(head, kinds), ["scores", "parts"] if kinds else ["scores"]
    _export(_Half(shown) if half else shown, {"windows": example}, path, wanted, (axes,))


def export_heat_map(heat: HeatMap, channels: int, path: Path) -> None:
    """Write `clips` uint8 (1, 16, 224, 224, 3) RGB, `windows` float32 (1, T, 1, C) -> `heat` float32 (1, 14, 14), T
    dynamic.
    """
    clips = torch.zeros(1, CLIP_LENGTH, 224, 224, 3, dtype=torch.uint8)
    windows = torch.zeros(1, WINDOW // 2, 1, channels)
    axes: tuple[dict[int, torch.export.Dim], ...] = ({}, {1: torch.export.Dim("T", min=1, max=WINDOW)})
    _export(heat, {"clips": clips, "windows": windows}, path, ["heat"], axes)


def _export(
    module: nn.Module,
    given: dict[str, Tensor],
    path: Path,
    wanted: list[str],
    axes: tuple[dict[int, torch.export.Dim], ...],
) -> None:
    # The exporter warns that torchvision is missing, and about its own deprecated internals.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():  # a sixth less time, and the same graph to the bit
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(given.values()),
            path,
            input_names=list(given),
            output_names=wanted,
            dynamic_shapes=axes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
