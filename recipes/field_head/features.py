"""Recordings to clip features with geometry `focus`, cached as one .npz per recording in CACHE/<view>/.

| view | clips |
|---|---|
| `focus` | of every recording, end to end |
| `focus8` | of recordings with an incident, the clips in between |
| `aug` | as `focus`, moved, as worse cameras show it: grey, dark, noisy, coarse, compressed, with a clock |
| `slow6`, `slow11` | of images thinned to about 6 and 11 per second |
| `tamper` | a camera that is covered, shaken, defocused, blinded (`recipes.default_head.tampering`) |
| `harmless` | an image that jumps or freezes for harmless reasons |
| `whole` | as `focus`, of the whole image; only for comparison (`recipes.field.whole_picture`) |

Each .npz: `features` float32 (n, 2688), the means of Mixed_4f, 5b and 5c; `start`, `end` in seconds; `kind` (n,).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import openvino
from av import VideoFrame
from rich.progress import track

from configs.sizes import CLIP_LENGTH
from engine.arrays import UInt8Array
from engine.focus import COLUMNS, LOOKED_AT, ROWS, WHOLE, Region, cropped, find_region, region_of
from engine.geometry import SIDE, scaled
from export.onnx import export_backbone
from mgfn.backbones import BACKBONES, show_layers
from recipes.default_head import tampering
from recipes.field_head.data import Recording
from stream.camera.clips import ClipAssembler

_NO_FEATURES: Final = np.empty((0, 2688), np.float32)
LAYERS: Final = ("Mixed_4f", "Mixed_5b", "Mixed_5c")
VIEWS: Final = ("focus", "focus8", "aug", "slow6", "slow11", "tamper", "harmless")


def extract(recordings: list[Recording], cache: Path, views: tuple[str, ...] = VIEWS) -> None:
    """Fill the cache. A cached recording is not read again."""
    backbone = _Backbone(cache)
    for view in views:
        (cache / view).mkdir(parents=True, exist_ok=True)
        for recording in track(recordings, description=view):
            target = cache / view / f"{recording.name.replace('/', '__')}.npz"
            if target.exists():
                continue
            clips = list(_clips(recording, view))
            partial = target.with_suffix(".part.npz")
            np.savez(
                partial,
                features=np.stack([backbone(pictures) for *_, pictures in clips]) if clips else _NO_FEATURES,
                start=np.array([clip[0] for clip in clips]),
                end=np.array([clip[1] for clip in clips]),
                kind=np.array([clip[2] for clip in clips]),
            )
            partial.replace(target)


class _Backbone:
    """I3D on OpenVINO, with several of its layers as outputs."""

    def __init__(self, cache: Path) -> None:
        graph = cache / "i3d-layers.onnx"
        if not graph.exists():
            cache.mkdir(parents=True, exist_ok=True)
            network = BACKBONES["i3d"].load(None)
            show_layers(network, LAYERS)
            export_backbone(network, graph)
        model: Any = openvino.Core().read_model(graph)
        model.reshape([1, 16, SIDE, SIDE, 3])
        self._request = openvino.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request()

    def __call__(self, pictures: UInt8Array) -> np.ndarray:
        return np.array(self._request.infer({0: pictures[None]})[0][0], np.float32)


_Cut = tuple[float, float, str, UInt8Array]


def _clips(recording: Recording, view: str) -> Iterator[_Cut]:
    rng = np.random.default_rng(zlib.crc32(f"{view}/{recording.name}".encode()))
    ordinary = recording.kind == "ordinary"
    if view in ("tamper", "harmless"):
        if ordinary:
            yield from _changed(recording.path, view, rng)
        return
    if (view == "focus8" and ordinary) or (view == "slow6" and not ordinary):
        return
    frames = _thinned(recording.path, int(view[4:])) if view.startswith("slow") else overlapping(recording.path)
    for between, start, end, pictures in frames:
        if between == (view == "focus8"):
            region = WHOLE if view == "whole" else region_of(pictures)
            if view == "aug":
                region = _moved(region, pictures[0].width, pictures[0].height, rng)
            clip = np.stack([scaled(cropped(picture, region), SIDE, SIDE) for picture in pictures])
            yield start, end, "plain", degraded(clip, rng) if view == "aug" else clip


_Frames = tuple[bool, float, float, list[VideoFrame]]


def overlapping(path: Path) -> Iterator[_Frames]:
    """Whether a clip lies between two others, its times and its 16 frames. A clip starts every 8 frames."""
    assembler, newest, count = ClipAssembler(8), deque[VideoFrame](maxlen=CLIP_LENGTH), 0
    for time, frame in _decoded(path):
        placed = assembler.place(time)
        if placed.position is None:
            continue
        newest.append(frame)
        if placed.finished is not None:
            yield bool(count % 2), placed.finished.start, placed.finished.end, list(newest)
            count += 1


def _thinned(path: Path, rate: int) -> Iterator[_Frames]:
    """Clips with about `rate` images per second."""
    with av.open(str(path)) as container:
        keep_every = max(1, round(float(container.streams.video[0].average_rate or 25) / rate))
    clip: list[tuple[float, VideoFrame]] = []
    for index, timed in enumerate(_decoded(path)):
        if index % keep_every == 0:
            clip.append(timed)
        if len(clip) == CLIP_LENGTH:
            step = clip[-1][0] - clip[-2][0]
            yield False, clip[0][0], clip[-1][0] + step, [frame for _, frame in clip]
            clip = []


def _decoded(path: Path) -> Iterator[tuple[float, VideoFrame]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for index, frame in enumerate(container.decode(stream)):
            yield float(frame.time) if frame.time is not None else index / float(stream.average_rate or 25), frame


def _moved(region: Region, width: int, height: int, rng: np.random.Generator) -> Region:
    """The detected square, moved a little."""
    if region.is_whole:
        return region
    short = min(width, height)
    side = min(max(region.w * width * rng.uniform(0.8, 1.5), 0.3 * short), short)
    w, h = side / width, side / height
    x = region.x + region.w / 2 + rng.uniform(-0.15, 0.15) * region.w - w / 2
    y = region.y + region.h / 2 + rng.uniform(-0.15, 0.15) * region.h - h / 2
    return Region(min(max(x, 0), 1 - w), min(max(y, 0), 1 - h), w, h)


def _changed(path: Path, view: str, rng: np.random.Generator) -> Iterator[_Cut]:
    pictures: list[UInt8Array] = []
    shape = (0, 0)
    for _, frame in _decoded(path):
        pictures.append(scaled(frame, SIDE, SIDE))
        shape = frame.width, frame.height
        if len(pictures) == 240:
            break
    if len(pictures) < 48:
        return
    scenes = np.stack(pictures)
    if view == "harmless":
        later = scenes[int(rng.integers(len(scenes) - 16)) :]
        for kind, clip in (("cut", tampering.cut(scenes, later, rng)), ("frozen", tampering.frozen(scenes, rng))):
            yield 0.0, 0.64, kind, clip
        return
    for kind in rng.choice(list(tampering.TAMPERS), 2, replace=False):
        begin = int(rng.integers(max(1, len(scenes) - 64)))
        changed = tampering.TAMPERS[str(kind)](tampering.ping_pong(scenes[begin : begin + 64], 64), 16, rng)
        for start in (8, 24, 40):
            yield start / 25, start / 25 + 0.64, str(kind), _focused(changed[start : start + 16], *shape)


def _focused(clip: UInt8Array, width: int, height: int) -> UInt8Array:
    """A clip (16, 224, 224, 3) of whole images that were once `width` by `height`, cut to the square around what
    moves.
    """
    small = [cv2.resize(cv2.cvtColor(clip[i], cv2.COLOR_RGB2GRAY), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
             for i in LOOKED_AT]  # fmt: skip
    region = find_region(np.stack(small).astype(np.uint8), width, height)
    if region.is_whole:
        return clip
    left, top, right, bottom = region.pixels(SIDE, SIDE)
    return np.stack([cv2.resize(picture[top:bottom, left:right], (SIDE, SIDE)) for picture in clip]).astype(np.uint8)


def degraded(pictures: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A clip (16, 224, 224, 3) as a worse camera shows it."""
    x = pictures[:, :, ::-1] if rng.random() < 0.5 else pictures
    if rng.random() < 0.35:
        x = np.repeat(x.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8)
    if rng.random() < 0.4:
        x = np.clip(255 * (x / 255.0) ** rng.uniform(0.7, 1.6) * rng.uniform(0.4, 1.15), 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        side = int(rng.uniform(56, 150))
        small = [cv2.resize(np.ascontiguousarray(f), (side, side), interpolation=cv2.INTER_AREA) for f in x]
        x = np.stack([cv2.resize(f, (SIDE, SIDE)) for f in small]).astype(np.uint8)
    if rng.random() < 0.4:
        x = np.clip(x + rng.normal(0, rng.uniform(2, 14), x.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(12, 50))]
        coded = [cv2.imencode(".jpg", np.ascontiguousarray(f), quality)[1] for f in x]
        x = np.stack([np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), np.uint8) for c in coded])
    x = np.ascontiguousarray(x)
    if rng.random() < 0.3:
        text = "2021-{:02}-{:02} {:02}:{:02}".format(*rng.integers(1, 12, 4))
        for picture in x:
            cv2.putText(picture, text, (int(rng.integers(0, 90)), 215), 0, 0.5, (255, 255, 255), 1)
    return x
