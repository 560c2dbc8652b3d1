"""Recordings to clip features, kept in a cache folder: one .npz for each variant.

Each .npz holds `features` float32 (n, crops, 1024), `video` (n,), `start` (n,) first frame, `kind` (n,) and
`anomalous` (n,). Kinds: `plain`, `degraded-K`, `zoomed-K`, the four kinds of tampering, `cut`, `frozen`.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import openvino
import torch
from rich.progress import track

from engine.geometry import crops_of, write_crops
from export.onnx import export_backbone
from mgfn.backbones import BACKBONES
from recipes.default_head import tampering
from recipes.default_head.tampering import UInt8Array

CLIP = 16
CHANNELS = 1024
LOOKS = 1  # of each recording, in the variants that change how it looks
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
    for start in range(0, crops.shape[1] - CLIP + 1, STRIDE):
        yield Clip(recording.name, start, "plain", recording.anomalous, crops[:, start : start + CLIP])


def degraded(recording: Recording, geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    """Another camera's look for the whole recording; sometimes at half the frame rate."""
    frames = read_crops(recording.path, geometry)[0]
    for look in range(LOOKS):
        seed = int(rng.integers(2**32))
        step = 2 if rng.uniform() < 0.25 and len(frames) >= 48 else 1
        thinned = frames[::step]
        begin, stride = int(rng.integers(8)), CLIP if len(frames) < 200 else 3 * STRIDE
        for start in range(begin, len(thinned) - CLIP + 1, stride):
            changed = tampering.degrade(thinned[start : start + CLIP], np.random.default_rng(seed))
            yield Clip(recording.name, start, f"degraded-{look}", recording.anomalous, changed[None])


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
            changed = tamper(frames, CLIP, rng)
            for start in range(CLIP - STRIDE, 64 - CLIP + 1, CLIP):
                yield Clip(recording.name, start, kind, True, changed[None, start : start + CLIP])


def harmless(recording: Recording, geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    """Cuts and frozen pictures of ordinary recordings."""
    if recording.anomalous:
        return
    frames = read_crops(recording.path, geometry)[0]
    many = 1 if len(frames) < 200 else 12
    for index in range(many):
        # the first cut is the recording's own loop, the others jump within it
        after = frames if index == 0 else frames[int(rng.integers(len(frames) - CLIP + 1)) :]
        joined = tampering.cut(frames, after, rng)
        yield Clip(recording.name, index, "cut", False, joined[None])
        yield Clip(recording.name, index, "frozen", False, tampering.frozen(frames, rng)[None])


def zoomed(recording: Recording, geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    """What moves most, seen from closer: other cameras hang lower, and ordinary people come near them, too."""
    with av.open(str(recording.path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    pictures = np.asarray(frames, dtype=np.uint8)
    length = len(pictures) if len(pictures) < 200 else 48
    for look in range(LOOKS if len(pictures) < 200 else 16 * LOOKS):
        begin = int(rng.integers(len(pictures) - length + 1))
        part = pictures[begin : begin + length]
        rows, columns = _busiest_window(part, float(rng.uniform(1.6, 3.0)), rng)
        crops = np.empty((1, length, 224, 224, 3), np.uint8)
        for index, picture in enumerate(part):
            closer = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[rows, columns]), format="rgb24")
            write_crops(closer, geometry, crops[:, index])
        seed = int(rng.integers(2**32))
        for start in range(0, length - CLIP + 1, CLIP):
            clip = crops[:, start : start + CLIP]
            if seed % 2:
                clip = tampering.degrade(clip[0], np.random.default_rng(seed))[None]
            yield Clip(recording.name, start, f"zoomed-{look}", recording.anomalous, clip)


def _busiest_window(pictures: UInt8Array, zoom: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Of eight random windows of 1/zoom of the width and height, the one in which most changes."""
    height, width = pictures.shape[1:3]
    change = np.abs(np.diff(pictures[::4, :, :, 1].astype(np.int16), axis=0)).mean(axis=0)
    tall, wide = int(height / zoom), int(width / zoom)
    windows = []
    for _ in range(8):
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        windows.append((slice(top, top + tall), slice(left, left + wide)))
    return max(windows, key=lambda window: float(change[window].mean()))


ClipsOf = Callable[[Recording, str, np.random.Generator], Iterator[Clip]]
VARIANTS: dict[str, tuple[str, ClipsOf]] = {
    "squash-plain": ("squash", plain),
    "squash-tampered": ("squash", tampered),
    "squash-harmless": ("squash", harmless),
    "squash-degraded": ("squash", degraded),
    "squash-zoomed": ("squash", zoomed),
    "center-plain": ("center", plain),
    "ends-plain": ("ends", plain),
}


class Extractor:
    """The backbone on OpenVINO in float32, one clip on each core."""

    def __init__(self, cache: Path) -> None:
        graph = cache / "i3d.onnx"
        if not graph.exists():
            export_backbone(BACKBONES["i3d"].load(None), graph)
        settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        self._queue = openvino.AsyncInferQueue(openvino.Core().compile_model(graph, "CPU", settings))

    def __call__(self, clips: Iterable[UInt8Array]) -> list[np.ndarray]:
        """Each uint8 (crops, 16, 224, 224, 3) -> float32 (crops, 1024)."""
        features: list[np.ndarray] = []

        def keep(request: openvino.InferRequest, place: tuple[int, int]) -> None:
            features[place[0]][place[1]] = request.get_output_tensor().data[0]

        self._queue.set_callback(keep)
        for crops in clips:
            features.append(np.empty((len(crops), CHANNELS), np.float32))
            for index, crop in enumerate(crops):
                self._queue.start_async({0: crop[None]}, (len(features) - 1, index))
        self._queue.wait_all()
        return features


def extract(data: Path, cache: Path, variants: list[str]) -> None:
    """Fill the cache; a variant that is there is not made again."""
    torch.set_num_threads(2)
    cache.mkdir(parents=True, exist_ok=True)
    extractor = Extractor(cache)
    for variant in variants:
        target = cache / f"{variant}.npz"
        if target.exists():
            continue
        rows: list[tuple[str, int, str, bool]] = []
        features = extractor(_pictures(variant, recordings(data), rows))
        video, start, kind, anomalous = zip(*rows, strict=True)
        partial = target.with_suffix(".part.npz")
        np.savez(
            partial,
            features=np.stack(features),
            video=np.array(video),
            start=np.array(start),
            kind=np.array(kind),
            anomalous=np.array(anomalous),
        )
        partial.replace(target)


def _pictures(variant: str, of: list[Recording], rows: list[tuple[str, int, str, bool]]) -> Iterator[UInt8Array]:
    """The clips of a variant; what each one is, is noted in `rows`."""
    geometry, clips_of = VARIANTS[variant]
    for recording in track(of, description=variant):
        # seeded by name: a recording's disturbances do not depend on the others
        rng = np.random.default_rng(zlib.crc32(f"{variant}/{recording.name}".encode()))
        for clip in clips_of(recording, geometry, rng):
            rows.append((clip.video, clip.start, clip.kind, clip.anomalous))
            yield clip.frames
