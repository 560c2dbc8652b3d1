"""What the live path makes of the recordings: their clips' times and features, kept in a cache.

Decoded, cut and passed through the backbone by the product's own code, as `mgfn-stream --replay` does it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from configs.atomic import replacing
from configs.sizes import CLIP_LENGTH
from engine.arrays import FloatArray
from engine.engine import Engine
from engine.geometry import SIDE
from recipes.field.recordings import Recording
from stream.base.addresses import Source
from stream.camera.capture import Capture
from stream.camera.clip_cropper import ClipCropper
from stream.camera.clips import ClipAssembler
from stream.camera.view import View


@dataclass(frozen=True)
class Footage:
    """The clips of one recording: `start`, `end` (n,) in seconds of media time, `features` float32 (n, crops, C)."""

    start: FloatArray
    end: FloatArray
    features: FloatArray

    @property
    def length(self) -> float:
        """Seconds, to the end of the last whole clip."""
        return float(self.end[-1]) if len(self.end) else 0.0


def footage(recordings: Sequence[Recording], engine: Engine, cache: Path) -> dict[str, Footage]:
    """The clips of each recording by its name; a recording that is in the cache is not read again."""
    folder = cache / _fingerprint(engine)
    found = {}
    for recording in track(recordings, description="features"):
        path = folder / f"{recording.name}.npz"
        if not path.exists():
            clips = list(_clips(recording.path, engine))
            shape = (0, engine.manifest.crops, engine.manifest.channels)
            with replacing(path) as partial:
                np.savez(
                    partial,
                    start=np.array([clip[0] for clip in clips], np.float64),
                    end=np.array([clip[1] for clip in clips], np.float64),
                    features=np.stack([clip[2] for clip in clips]) if clips else np.empty(shape, np.float32),
                )
        with np.load(path) as file:
            found[recording.name] = Footage(file["start"], file["end"], file["features"])
    return found


def _fingerprint(engine: Engine) -> str:
    """Of the backbone as it runs here, whatever the head."""
    manifest = engine.manifest
    files = sorted((name, sha256) for name, sha256 in manifest.files.items() if not name.startswith("head"))
    text = repr((manifest.geometry, engine.backend.name, engine.backend.precision, files))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _clips(path: Path, engine: Engine) -> Iterator[tuple[float, float, FloatArray]]:
    geometry = engine.manifest.geometry
    assembler, cropper = ClipAssembler(counted=True), ClipCropper(View(), geometry)
    clip = np.empty((1, engine.manifest.crops, CLIP_LENGTH, SIDE, SIDE, 3), np.uint8)
    with Capture(Source("recording", str(path), live=False)) as capture:
        for picture in capture.pictures():
            placed = assembler.place(picture.media_time)
            if placed.position is None:
                continue
            cropper.put(placed.position, picture.frame)
            if placed.finished is not None:
                cropper.write(placed.oldest, clip[0])
                yield placed.finished.start, placed.finished.end, engine.features(clip)[0]
