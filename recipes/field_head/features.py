"""Recordings to clip features through geometry `focus`, cached as one .npz a recording under CACHE/<view>/.

| view | clips |
|---|---|
| `focus` | of every recording, end to end: what is judged |
| `focus8` | of recordings with an incident, the ones between |
| `aug` | as `focus`, as worse cameras show them: grey, dark, noisy, coarse, compressed, a clock burnt in |
| `tamper` | a camera that is covered, shaken, defocused, blinded (`recipes.default_head.tampering`) |
| `slow` | every second picture |

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

from engine.arrays import UInt8Array
from engine.focus import focus_clip
from engine.geometry import SIDE
from export.onnx import export_backbone
from mgfn.backbones import BACKBONES, show_layers
from recipes.default_head import tampering
from recipes.field_head.data import Recording
from stream.camera.clips import ClipAssembler

LAYERS: Final = ("Mixed_4f", "Mixed_5b", "Mixed_5c")
VIEWS: Final = ("focus", "focus8", "aug", "tamper", "slow")


def extract(recordings: list[Recording], cache: Path, views: tuple[str, ...] = VIEWS) -> None:
    """Fill the cache; a recording that is there is not read again."""
    backbone = _Backbone(cache)
    for view in views:
        (cache / view).mkdir(parents=True, exist_ok=True)
        for recording in track(recordings, description=view):
            target = cache / view / f"{recording.name.replace('/', '__')}.npz"
            if target.exists():
                continue
            clips = list(_clips(recording, view))
            if not clips:
                continue
            partial = target.with_suffix(".part.npz")
            np.savez(
                partial,
                features=np.stack([backbone(pictures) for *_, pictures in clips]),
                start=np.array([clip[0] for clip in clips]),
                end=np.array([clip[1] for clip in clips]),
                kind=np.array([clip[2] for clip in clips]),
            )
            partial.replace(target)


class _Backbone:
    """I3D with its layers side by side, on OpenVINO."""

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
    if view == "tamper":
        if recording.kind == "ordinary":
            yield from _tampered(recording.path, rng)
        return
    if view == "focus8" and recording.kind == "ordinary":
        return
    keep_every = 2 if view == "slow" else 1
    for between, start, end, frames in _frames(recording.path, keep_every):
        if between == (view == "focus8"):
            out = np.empty((1, 16, SIDE, SIDE, 3), np.uint8)
            focus_clip(frames, out)
            yield start, end, "plain", degraded(out[0], rng) if view == "aug" else out[0]


def _frames(path: Path, keep_every: int) -> Iterator[tuple[bool, float, float, list[VideoFrame]]]:
    """Whether a clip lies between two others, its times and its 16 frames; one every 8 frames."""
    assembler, newest, count = ClipAssembler(8), deque[VideoFrame](maxlen=16), 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for index, frame in enumerate(container.decode(stream)):
            if index % keep_every:
                continue
            time = float(frame.time) if frame.time is not None else index / float(stream.average_rate or 25)
            placed = assembler.place(time)
            if placed.position is None:
                continue
            newest.append(frame)
            if placed.finished is not None:
                yield bool(count % 2), placed.finished.start, placed.finished.end, list(newest)
                count += 1


def _tampered(path: Path, rng: np.random.Generator) -> Iterator[_Cut]:
    pictures: list[VideoFrame] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pictures.append(frame.reformat(width=398, height=SIDE, format="rgb24"))
            if len(pictures) == 240:
                break
    if len(pictures) < 48:
        return
    scenes = np.stack([picture.to_ndarray()[:, 87 : 87 + SIDE] for picture in pictures]).astype(np.uint8)
    for kind in rng.choice(list(tampering.TAMPERS), 2, replace=False):
        begin = int(rng.integers(max(1, len(scenes) - 64)))
        changed = tampering.TAMPERS[str(kind)](tampering.ping_pong(scenes[begin : begin + 64], 64), 16, rng)
        frames = [VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p") for picture in changed]
        for start in (8, 24, 40):
            out = np.empty((1, 16, SIDE, SIDE, 3), np.uint8)
            focus_clip(frames[start : start + 16], out)
            yield start / 25, start / 25 + 0.64, str(kind), out[0]


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
