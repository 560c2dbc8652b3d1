"""Other views of the recordings' clips: what the backbone could see instead of, or beside, the squashed image.

All views have the same clips, without overlap, so that one composition of streams serves all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import av
import cv2
import numpy as np

from configs.sizes import CLIP_LENGTH
from recipes.default_head.features import Clip, ClipsOf, Recording, plain, read_crops
from recipes.default_head.tampering import UInt8Array

SIDE = 224
ZOOM = 280  # a square of 224 of it: four fifths of each side


def _clips(recording: Recording, frames: UInt8Array, spread: int = 1) -> Iterator[Clip]:
    """Clips of frames (n, 224, 224, 3); `spread` k: of every k-th frame, around the middle of the clip."""
    last = len(frames) - 1
    for start in range(0, len(frames) - CLIP_LENGTH + 1, CLIP_LENGTH):
        begin = start - CLIP_LENGTH * (spread - 1) // 2
        begin = max(0, min(begin, last - spread * (CLIP_LENGTH - 1)))
        picked = np.minimum(begin + spread * np.arange(CLIP_LENGTH), last)
        yield Clip(recording.name, start, "plain", recording.anomalous, frames[None, picked])


def shifted(recording: Recording, geometry: str, _rng: np.random.Generator) -> Iterator[Clip]:
    """Half a clip earlier; the first clip of a recording half a clip later."""
    clips = list(plain(recording, geometry, _rng))
    for index in range(0, len(clips), 2):
        other = clips[max(index - 1, min(1, len(clips) - 1))]
        yield dataclasses.replace(other, start=clips[index].start)


def flipped(recording: Recording, geometry: str, _rng: np.random.Generator) -> Iterator[Clip]:
    return _clips(recording, read_crops(recording.path, geometry)[0][:, :, ::-1])


def slower(recording: Recording, geometry: str, _rng: np.random.Generator) -> Iterator[Clip]:
    """Half the frame rate: a clip spans 32 frames."""
    return _clips(recording, read_crops(recording.path, geometry)[0], spread=2)


def zoomed(recording: Recording, _geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    """Four fifths of the image's width and height: at a different place in each recording, constant in its frames."""
    left, top = rng.integers(ZOOM - SIDE + 1, size=2)
    return _clips(recording, _pictures(recording, lambda p: _squashed(p, ZOOM)[top : top + SIDE, left : left + SIDE]))


def letterboxed(recording: Recording, _geometry: str, _rng: np.random.Generator) -> Iterator[Clip]:
    """The whole image in proportion, with black bars."""
    return _clips(recording, _pictures(recording, _letterbox))


def _letterbox(picture: UInt8Array) -> UInt8Array:
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    out = np.zeros((SIDE, SIDE, 3), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    out[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return out


def _squashed(picture: UInt8Array, side: int) -> UInt8Array:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _pictures(recording: Recording, change: Callable[[UInt8Array], UInt8Array]) -> UInt8Array:
    with av.open(str(recording.path)) as container:
        pictures = (np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0))
        return np.stack([change(picture) for picture in pictures])


def apart(recording: Recording, geometry: str, rng: np.random.Generator) -> Iterator[Clip]:
    return (clip for clip in plain(recording, geometry, rng) if clip.start % CLIP_LENGTH == 0)


VIEWS: dict[str, tuple[str, ClipsOf]] = {
    "shifted-plain": ("squash", shifted),
    "flipped-plain": ("squash", flipped),
    "zoomed-plain": ("squash", zoomed),
    "letterbox-plain": ("squash", letterboxed),
    "center-plain": ("center", apart),
    "slower-plain": ("squash", slower),
    "ends-plain": ("ends", apart),
}
