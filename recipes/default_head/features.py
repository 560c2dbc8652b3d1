"""Extracts clip features from recordings into a cache folder: one .npz for each variant.

Each .npz contains `features` float32 (n, crops, 1024), `video` (n,), `start` (n,) first frame, `kind` (n,) and
`anomalous` (n,). Kinds: `plain`, the four kinds of tampering, `cut`, `frozen`.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import openvino
from rich.progress import track

from configs.atomic import replacing
from configs.sizes import CLIP_LENGTH
from engine.geometry import crops_of, write_crops
from export.onnx import export_backbone
from mgfn.backbones import BACKBONES
from recipes.default_head import tampering
from recipes.default_head.tampering import UInt8Array

CHANNELS = 1024
STRIDE = 8


@dataclass(frozen=True)
class Recording:
    """One video. `source` groups what was cut from one camera; '' is unknown."""

    name: str
    path: Path
    source: str
    anomalous: bool


@dataclass(frozen=True)
class Clip:
    video: str
    start: int
    kind: str
    anomalous: bool
    frames: UInt8Array  # (crops, 16, 224, 224, 3)


def recordings(data: Path) -> list[Recording]:
    """The recordings under `../shared/data`: two-second CCTV clips and ordinary recordings."""
    found = []
    with (data / "cctv-fights" / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = data / "cctv-fights" / "videos" / row["file"]
            found.append(Recording(path.stem, path, row["source"], row["anomalous"] == "1"))
    for path in sorted((data / "cctv-normal").iterdir()):
        if path.suffix in (".mp4", ".avi"):
            found.append(Recording(path.stem, path, f"recording-{path.stem}", False))
    return found


def read_crops(path: Path, geometry: str) -> UInt8Array:
    """All frames of a recording as crops: uint8 (crops, frames, 224, 224, 3)."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            out = np.empty((crops_of(geometry), 224, 224, 3), np.uint8)
            write_crops(frame, geometry, out)
            pictures.append(out)
    return np.stack(pictures, axis=1)


def plain(recording: Recording, geometry: str, _rng: np.random.Generator) -> Iterator[Clip]:
    crops = read_crops(recording.path, geometry)
    for start in range(0, crops.shape[1] - CLIP_LENGTH + 1, STRIDE):
        yield Clip(recording.name, start, "plain", recording.anomalous, crops[:, start : start + CLIP_LENGTH])


def tampered(recording: Recording, geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    """Tampering on ordinary recordings: half a second before the onset, two seconds after it."""
    if recording.anomalous:
        return
    crops = read_crops(recording.path, geometry)[0]
    kinds = list(tampering.TAMPERS)
    if len(crops) < 200:  # two of the four on a short recording
        kinds = [str(kind) for kind in rng.choice(kinds, 2, replace=False)]
    for kind in kinds:
        tamper = tampering.TAMPERS[kind]
        for _ in range(1 if len(crops) < 200 else 4):
            begin = int(rng.integers(max(1, len(crops) - 64)))
            frames = tampering.ping_pong(crops[begin : begin + 64], 64)
            changed = tamper(frames, CLIP_LENGTH, rng)
            for start in range(CLIP_LENGTH - STRIDE, 64 - CLIP_LENGTH + 1, CLIP_LENGTH):
                yield Clip(recording.name, start, kind, True, changed[None, start : start + CLIP_LENGTH])


def harmless(recording: Recording, geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    """Cuts and frozen images of ordinary recordings."""
    if recording.anomalous:
        return
    frames = read_crops(recording.path, geometry)[0]
    many = 1 if len(frames) < 200 else 12
    for index in range(many):
        # the first cut is the recording's own loop, the others jump within it
        after = frames if index == 0 else frames[int(rng.integers(len(frames) - CLIP_LENGTH + 1)) :]
        joined = tampering.cut(frames, after, rng)
        yield Clip(recording.name, index, "cut", False, joined[None])
        yield Clip(recording.name, index, "frozen", False, tampering.frozen(frames, rng)[None])


ClipsOf = Callable[[Recording, str, np.random.Generator], Iterator[Clip]]
VARIANTS: dict[str, tuple[str, ClipsOf]] = {
    "squash-plain": ("squash", plain),
    "squash-tampered": ("squash", tampered),
    "squash-harmless": ("squash", harmless),
}


class Extractor:
    """The backbone on OpenVINO in float32, one clip on all cores; `graph` is another form of it."""

    def __init__(self, cache: Path, graph: Path | openvino.Model | None = None) -> None:
        graph = graph or cache / "i3d.onnx"
        if isinstance(graph, Path) and not graph.exists():
            export_backbone(BACKBONES["i3d"].load(None), graph)
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        self._request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, clips: Iterable[UInt8Array]) -> list[np.ndarray]:
        """Each uint8 (crops, 16, 224, 224, 3) -> float32 (crops, 1024)."""
        return [np.stack([np.array(self._request.infer({0: crop[None]})[0][0]) for crop in crops]) for crops in clips]


def extract(
    data: Path,
    cache: Path,
    variants: list[str],
    graph: Path | openvino.Model | None = None,
    known: Mapping[str, tuple[str, ClipsOf]] = VARIANTS,
) -> None:
    """Fill the cache; existing variants are kept. `graph` is another form of the backbone."""
    cache.mkdir(parents=True, exist_ok=True)
    extractor = Extractor(cache, graph)
    for variant in variants:
        target = cache / f"{variant}.npz"
        if target.exists():
            continue
        rows: list[tuple[str, int, str, bool]] = []
        features = extractor(_pictures(variant, known[variant], recordings(data), rows))
        video, start, kind, anomalous = zip(*rows, strict=True)
        with replacing(target) as partial:
            np.savez(
                partial,
                features=np.stack(features),
                video=np.array(video),
                start=np.array(start),
                kind=np.array(kind),
                anomalous=np.array(anomalous),
            )


def _pictures(
    variant: str, made: tuple[str, ClipsOf], of: list[Recording], rows: list[tuple[str, int, str, bool]]
) -> Iterator[UInt8Array]:
    """The clips of a variant; their descriptions are appended to `rows`."""
    geometry, clips_of = made
    for recording in track(of, description=variant):
        # seeded by name: a recording's disturbances do not depend on the others
        rng = np.random.default_rng(zlib.crc32(f"{variant}/{recording.name}".encode()))
        for clip in clips_of(recording, geometry, rng):
            rows.append((clip.video, clip.start, clip.kind, clip.anomalous))
            yield clip.frames
