"""A small bundle for tests of the code around the models: a real backend runs it, in milliseconds.

Its backbone returns eight means of the clip (by quarter of time, of brightness and redness), eight times; its head is
an MGFN of 64 channels with seeded weights. The real backbone and head are used in the slow tests.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import openvino
import pytest
import torch
from torch import Tensor, nn

from configs.atomic import replacing_folder
from engine.backends.openvino_core import core
from engine.known_clip import ANSWER
from engine.manifest import Manifest, Thresholds, Weights
from export.bundle import Sources, write_artefacts, write_manifest
from export.onnx import export_head
from mgfn.checkpoint import save_head
from mgfn.extended import Extended, ExtendedConfig
from mgfn.paper import Paper, PaperConfig

CHANNELS = 64
TINY = Weights(name="i3d", source="a test", license="Apache-2.0", sha256="0" * 64)


class TinyBackbone(nn.Module):
    """uint8 (N, 16, 224, 224, 3) -> float32 (N, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(CHANNELS))

    def forward(self, clips: Tensor) -> Tensor:
        x = clips[:, :, ::8, ::8].to(torch.float32) / 255
        quarters = x.unflatten(1, (4, 4)).mean(dim=(2, 3, 4))  # (N, 4, 3)
        return torch.cat([quarters.mean(dim=2), quarters[..., 0]], dim=1).repeat(1, 8) * self.gain

    def maps(self, clips: Tensor) -> list[Tensor]:
        """The map whose mean is the feature: (N, 64, 1, 28, 28)."""
        x = clips[:, :, ::8, ::8].to(torch.float32) / 255
        quarters = x.unflatten(1, (4, 4)).mean(dim=2)  # (N, 4, 28, 28, 3)
        planes = torch.cat([quarters.mean(dim=4), quarters[..., 0]], dim=1).repeat(1, 8, 1, 1)
        return [(planes * self.gain[:, None, None])[:, :, None]]


KINDS = ("violence", "fall", "tampering")


def tiny_head(seed: int = 0) -> Paper:
    torch.manual_seed(seed)
    return Paper(PaperConfig(CHANNELS, widths=(8, 8))).eval()


def tiny_manifest() -> Manifest:
    """The manifest of a bundle that is not opened."""
    return Manifest(
        project_version="0", created="", backbone=TINY, head=None, channels=CHANNELS, crops=1, geometry="squash",
        thresholds=None, files={},
    )  # fmt: skip


def tiny_sources(crops: int = 1, on: float = 0.5, off: float = 0.4) -> Sources:
    geometry = {1: "squash", 2: "ends"}[crops]
    thresholds = Thresholds(on=on, off=off, chosen="a test")
    return Sources(TinyBackbone().eval(), TINY, CHANNELS, {}, tiny_head(), TINY, thresholds, geometry, crops)


def field_sources() -> Sources:
    """As the default bundle: geometry `focus`, a head with parts, scores calibrated to each camera."""
    torch.manual_seed(0)
    head = Extended(ExtendedConfig(PaperConfig(CHANNELS, widths=(8, 8)), probes=len(KINDS))).eval()
    thresholds = Thresholds(on=0.95, off=0.76, chosen="a test")
    calibration = {"location": 0.5, "between": 0.5, "spread": 0.3, "smoothing": 3}
    return Sources(
        TinyBackbone().eval(), TINY, CHANNELS, {}, head, TINY, thresholds, "focus", 1, calibration, KINDS, KINDS[:1]
    )  # fmt: skip


def write_tiny_bundle(folder: Path, crops: int = 1, on: float = 0.5, off: float = 0.4, all_forms: bool = False) -> Path:
    """Write one without calibration and kinds, as those of earlier releases, to `folder`; see `write_bundle`."""
    return write_bundle(tiny_sources(crops, on, off), folder, all_forms)


def write_bundle(sources: Sources, folder: Path, all_forms: bool = False) -> Path:
    """Write it to `folder` as `mgfn-export` does.

    `all_forms` adds half precision, and OpenVINO's own format under the name of the INT8 form. This backbone has
    nothing to quantise; NNCF's result for a real one is tested in the slow tests.
    """
    assert sources.head is not None
    checkpoint = folder.parent / f"{folder.name}.safetensors"
    save_head(checkpoint, sources.head, {})
    with replacing_folder(folder) as scratch:
        write_artefacts(sources, scratch, half=all_forms)
        if all_forms:
            graph = core().read_model(scratch / "backbone.onnx")
            openvino.save_model(graph, scratch / "backbone-int8.xml", compress_to_fp16=False)
        write_manifest(sources, scratch, checkpoint)
    return folder


def exported_before(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    """From now on, `export.bundle` copies the graphs of `bundle` (of the same networks) instead of tracing them."""

    def copied(*arguments: object, **_: object) -> None:
        (path,) = (argument for argument in arguments if isinstance(argument, Path))
        shutil.copy(bundle / path.name, path)

    monkeypatch.setattr("export.bundle.export_backbone", copied)
    monkeypatch.setattr("export.bundle.export_head", copied)


def bundle_with_another_head(bundle: Path, target: Path, seed: int = 1, on: float = 0.5, off: float = 0.4) -> Path:
    """A copy of a tiny bundle with another head: the same features, other scores."""
    sources = replace(tiny_sources(on=on, off=off), head=tiny_head(seed))
    head = sources.head
    assert head is not None
    shutil.copytree(bundle, target)
    export_head(head, CHANNELS, 1, target / "head.onnx")
    for stale in (ANSWER, "head-fp16.onnx", "backbone-fp16.onnx"):
        (target / stale).unlink(missing_ok=True)
    checkpoint = target.parent / f"{target.name}.safetensors"
    save_head(checkpoint, head, {})
    write_manifest(sources, target, checkpoint)
    return target


def copy_bundle(bundle: Path, target: Path, float32_alone: bool = False, **files: bytes) -> Path:
    """A copy of a tiny bundle that lists `files` too; `float32_alone` omits its other forms."""
    shutil.copytree(bundle, target)
    for path in target.iterdir() if float32_alone else ():
        if "-" in path.stem:
            path.unlink()
    for name, content in files.items():
        (target / name).write_bytes(content)
    write_manifest(tiny_sources(), target, bundle.parent / f"{bundle.name}.safetensors")
    return target
