"""The sources of a bundle, its artefacts, and its manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from torch import nn

from configs.pinned import sha256_of
from engine.default_bundle import project_version
from engine.geometry import crops_of
from engine.heat_map import HEAT_MAP
from engine.known_clip import ANSWER, Answer, known_clip, known_window
from engine.manifest import MANIFEST, Manifest, Thresholds, Weights
from export.onnx import export_backbone, export_head, export_heat_map
from mgfn.backbones import BACKBONES, show_layers
from mgfn.checkpoint import load_head
from mgfn.extended import ExtendedConfig
from mgfn.heat import HeatMap, can_be_mapped
from mgfn.network import Head
from mgfn.weights import pinned


class ExportError(Exception):
    """An export that is impossible as requested; the message is one line for the user."""


_USED: Final = ("threshold_on", "threshold_off", "geometry", "kinds", "claimed_kinds")  # metadata of a head


@dataclass(frozen=True)
class Sources:
    """The networks of a bundle, and what its manifest says about them."""

    backbone: nn.Module
    backbone_weights: Weights
    channels: int
    layers: dict[str, int]
    head: Head | None
    head_weights: Weights | None
    thresholds: Thresholds | None
    geometry: str
    crops: int
    calibration: dict[str, Any] | None = None
    kinds: tuple[str, ...] = ()
    claimed_kinds: tuple[str, ...] = ()


def random_sources(backbone: str, head: Path) -> Sources:
    """Like `load_sources`, with random weights of the backbone: to measure a machine that cannot download any."""
    torch.manual_seed(0)
    network = BACKBONES[backbone].build().eval()
    for weight in network.parameters():
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight)
    return _sources(backbone, network, Weights(name=backbone, source="random", license="none", sha256="0" * 64), head)


def load_sources(backbone: str, backbone_weights: Path | None, head: Path) -> Sources:
    """Load a backbone and the matching head.

    The backbone outputs as many of its layers as the head has channels for. A head that does not match is omitted.
    Raises WeightsError, CheckpointError, and ExportError for a head that cannot score the clips of a camera.
    """
    _live_head(head)  # first, so that a wrong file fails before weights are downloaded
    network = BACKBONES[backbone].load(backbone_weights)
    if backbone_weights is None:
        pin = pinned(backbone)
        weights = Weights(name=backbone, source=pin.source, license=pin.license, sha256=pin.sha256)
    else:
        weights = Weights(
            name=backbone,
            source=f"given by the user: {backbone_weights.name}",
            license="unknown",
            sha256=sha256_of(backbone_weights),
        )
    return _sources(backbone, network, weights, head)


def _live_head(head: Path) -> tuple[Head, dict[str, str]]:
    mgfn, texts = load_head(head)
    if problem := mgfn.not_live():
        raise ExportError(f"head {head}: cannot watch a camera: {problem}")
    return mgfn, texts


def _sources(backbone: str, network: nn.Module, weights: Weights, head: Path) -> Sources:
    spec = BACKBONES[backbone]
    mgfn, texts = _live_head(head)
    layers = spec.layers_of(mgfn.config.channels)
    if layers is None and mgfn.config.channels != spec.channels:
        return Sources(network, weights, spec.channels, {}, None, None, None, "squash", 1)
    if layers is not None and mgfn.config.channels != spec.channels:
        show_layers(network, layers)
    shown = {} if layers is None else {name: spec.layers[name] for name in layers}
    head_weights = Weights(
        name=head.stem,
        source=texts.get("provenance", "given by the user"),
        license=texts.get("license", "unknown"),
        sha256=sha256_of(head),
    )
    try:
        thresholds = Thresholds(
            on=float(texts.get("threshold_on", 0.5)),
            off=float(texts.get("threshold_off", texts.get("threshold_on", 0.5))),
            chosen=texts.get("threshold_choice", "not chosen: the head has none"),
            min_duration=float(texts["min_duration"]) if "min_duration" in texts else None,
        )
        calibration = json.loads(texts["calibration"]) if "calibration" in texts else None
        geometry = texts.get("geometry", "squash")
        crops = crops_of(geometry)
        kinds, claimed = (_names(texts.get(name, "[]")) for name in ("kinds", "claimed_kinds"))
    except (ValueError, KeyError):
        told = {name: texts[name] for name in _USED if name in texts}
        raise ExportError(f"head {head}: its metadata cannot be used: {told}") from None
    parts = mgfn.config.probes if isinstance(mgfn.config, ExtendedConfig) else 0
    if kinds and len(kinds) != parts:
        raise ExportError(f"head {head}: its metadata names {len(kinds)} kinds, its network has {parts} probes")
    return Sources(
        network, weights, mgfn.config.channels, shown, mgfn, head_weights, thresholds, geometry, crops, calibration,
        kinds, claimed,
    )  # fmt: skip


def _names(text: str) -> tuple[str, ...]:
    names = json.loads(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(text)
    return tuple(names)


def check_target(target: Path) -> None:
    """Raise ExportError unless `target` does not exist, is empty, or is a bundle, which may be replaced."""
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not _is_bundle(target)):
        raise ExportError(f"--out {target}: must be a new or empty folder, or an existing bundle")


def _is_bundle(folder: Path) -> bool:
    """Whether its manifest is one of ours, of any version; other projects use `manifest.json`, too."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and {"schema_version", "backbone", "files"} <= manifest.keys()


def write_artefacts(sources: Sources, folder: Path, half: bool = False) -> None:
    """Write the graphs, the weights for the `torch` backend and the known answer into `folder`; `half`: half-precision
    graphs of backbone and head too.
    """
    export_backbone(sources.backbone, folder / "backbone.onnx")
    _save(sources.backbone, folder / "backbone.safetensors")
    _write_head(sources, folder / "head.onnx")
    if sources.head is not None and can_be_mapped(sources.backbone, sources.head, sources.crops):
        export_heat_map(HeatMap(sources.backbone, sources.head).eval(), sources.channels, folder / HEAT_MAP)
    np.save(folder / ANSWER, _known_answer(sources).numbers(), allow_pickle=False)
    if half:
        export_backbone(sources.backbone, folder / "backbone-fp16.onnx", half=True)
        _write_head(sources, folder / "head-fp16.onnx", half=True)


@torch.inference_mode()
def _known_answer(sources: Sources) -> Answer:
    features = sources.backbone(torch.from_numpy(known_clip(sources.crops))).numpy()
    if sources.head is None:
        return Answer(features, None)
    scores = sources.head(torch.from_numpy(known_window(features))[None]).scores
    return Answer(features, float(scores[0, -1]))


def _write_head(sources: Sources, path: Path, half: bool = False) -> None:
    if sources.head is not None:
        export_head(sources.head, sources.channels, sources.crops, path, kinds=bool(sources.kinds), half=half)


def write_manifest(sources: Sources, folder: Path, head_file: Path) -> Manifest:
    """Write `manifest.json` for everything in `folder`; the head's checkpoint is copied in."""
    if sources.head is not None:
        shutil.copyfile(head_file, folder / "head.safetensors")
    for path in folder.iterdir():
        path.chmod(0o644)
    manifest = Manifest.model_validate(
        {
            "project_version": project_version(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "backbone": sources.backbone_weights,
            "head": sources.head_weights,
            "channels": sources.channels,
            "layers": sources.layers,
            "calibration": sources.calibration,
            "kinds": sources.kinds,
            "claimed_kinds": sources.claimed_kinds,
            "crops": sources.crops,
            "geometry": sources.geometry,
            "thresholds": sources.thresholds,
            "files": {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(folder.iterdir())
                if path.name != MANIFEST
            },
        }
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _save(network: nn.Module, path: Path) -> None:
    state: dict[str, torch.Tensor] = {name: value.contiguous() for name, value in network.state_dict().items()}
    safetensors.torch.save_file(state, path)
