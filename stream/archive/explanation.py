"""Why an alarm was raised: the window of features at that moment, what each clip added, and its images.

Stored in one file beside the event's image and clip (`ID.npz`, 130 KiB of features and a strip of images), so that the
score can be computed again. Pure, except for `read`.
"""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from engine.arrays import FloatArray, UInt8Array
from stream.alarm.event import TopClip
from stream.base.errors import StreamError
from stream.camera.view import Region, View

LARGEST_FILE: Final = 64 * 2**20
TOP_CLIPS: Final = 3
THUMBNAIL: Final = 112
STRIP_COLUMNS: Final = 8
_JPEG_QUALITY: Final = 70
_HEAT: Final = (0, 60, 255)  # BGR, as the page shows it
_HEAT_COVERS: Final = 0.7  # share of the image that the hottest cell covers


def shares(contributions: FloatArray) -> FloatArray:
    """Contributions (T,) as shares of what raised the score. Clips that lowered it have none. All are 0 if all did."""
    raised = np.maximum(contributions, 0)
    total = float(raised.sum())
    return np.asarray(raised / total if total > 0 else raised, np.float32)


@dataclass(frozen=True)
class Explanation:
    """T clips, oldest first: `times` (T, 2) start and end in steady time, `features` (T, crops, C), `weights` (T,).

    `score` is the newest clip's, `bundle` the folder of the model. `thumbnails` (T, 112, 112, 3) RGB show the last
    frame of each clip as the model saw it, and `view` is the visible part of the camera's image.
    """

    times: np.ndarray
    features: FloatArray
    weights: FloatArray
    score: float
    bundle: str
    thumbnails: UInt8Array
    view: View = field(default_factory=View)
    level: tuple[float, float, float] | None = None

    def top_clips(self) -> tuple[TopClip, ...]:
        """The clips that weigh most, heaviest first."""
        best = np.argsort(self.weights, kind="stable")[::-1][:TOP_CLIPS]
        return tuple(
            TopClip(float(self.times[i, 0]), float(self.times[i, 1]), float(self.weights[i]))
            for i in best.tolist()
            if self.weights[i] > 0
        )

    def packed(self) -> bytes:
        """The file's bytes."""
        file = io.BytesIO()
        np.savez(
            file,
            times=np.asarray(self.times, np.float64),
            features=self.features,
            weights=self.weights.astype(np.float32),
            score=np.float64(self.score),
            bundle=np.array(self.bundle),
            view=np.array(json.dumps(asdict(self.view))),
            level=np.array([] if self.level is None else self.level, np.float64),
            strip=np.frombuffer(_strip(self.thumbnails), np.uint8),
        )
        return file.getvalue()


@dataclass(frozen=True)
class StoredExplanation:
    """What `read` returns; `strip` is a JPEG of the clips' images, `STRIP_COLUMNS` in a row."""

    times: np.ndarray
    features: FloatArray
    weights: FloatArray
    score: float
    bundle: str
    strip: bytes
    view: View
    level: tuple[float, float, float] | None = None


_DAMAGED: Final = (
    OSError, ValueError, KeyError, TypeError, MemoryError, RuntimeError, zipfile.BadZipFile, EOFError, SyntaxError,
    tokenize.TokenError,
)  # fmt: skip


def read(path: Path) -> StoredExplanation:
    """Read the file. Raises StreamError if it is missing or invalid."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("too large")
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
                raise ValueError("compressed")  # we write none, and a small one may hold a large array
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = StoredExplanation(
                file["times"], file["features"], file["weights"], float(file["score"]), str(file["bundle"]),
                file["strip"].tobytes(), _view(str(file["view"])), _level(file),
            )  # fmt: skip
    except FileNotFoundError:
        raise StreamError(f"{path.name}: the event's window is not stored") from None
    except _DAMAGED as error:
        raise StreamError(f"{path}: not readable as an event's window: {type(error).__name__}") from None
    length = len(found.times)
    if found.features.ndim != 3 or not len(found.features) == len(found.weights) == length or length == 0:
        raise StreamError(f"{path}: not readable as an event's window: arrays of other shapes")
    return found


def _level(file: Mapping[str, np.ndarray]) -> tuple[float, float, float] | None:
    if "level" not in file or not len(file["level"]):  # an older version wrote it, or nothing was learnt
        return None
    middle, spread, added = (float(value) for value in file["level"])
    return middle, spread, added


def _view(text: str) -> View:
    kept = json.loads(text)
    masks, only_here = (
        tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in kept.get(key, ()))
        for key in ("masks", "only_here")
    )
    return View(None if kept["region"] is None else Region(**kept["region"]), masks, only_here)


def last_picture(crops: UInt8Array) -> UInt8Array:
    """The last picture of a clip's first crop, (crops, 16, 224, 224, 3) -> (224, 224, 3); it outlives the clip."""
    return crops[0, -1].copy()


def thumbnail(picture: UInt8Array) -> UInt8Array:
    """(224, 224, 3) -> (112, 112, 3): every second pixel, as a view."""
    return picture[::2, ::2]


def jpeg(picture: UInt8Array, quality: int = _JPEG_QUALITY) -> bytes:
    """RGB (height, width, 3) as a JPEG."""
    done, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError("the image cannot be encoded")
    return encoded.tobytes()


def reduced(picture: bytes, width: int = 160) -> bytes:
    """A JPEG of at most that width. Raises ValueError for bytes that are none."""
    found = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if found is None:
        raise ValueError("not a picture")
    scale = min(1.0, width / found.shape[1])
    size = (max(1, round(found.shape[1] * scale)), max(1, round(found.shape[0] * scale)))
    small = np.asarray(cv2.resize(found, size, interpolation=cv2.INTER_AREA), np.uint8)
    return jpeg(small[..., ::-1])


def heated(picture: bytes, heat: bytes) -> bytes:
    """The JPEG of an event with its stored heat map over it, in red. Raises ValueError for bytes that are neither."""
    found = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if found is None:
        raise ValueError("not a picture")
    try:
        stored = json.loads(heat)
        cells = np.asarray(stored["rows"], np.float32) / 255
        height, width = found.shape[:2]
        x, y, w, h = (round(part * size) for part, size in zip(stored["region"], (width, height) * 2, strict=True))
    except (LookupError, TypeError, OverflowError):
        raise ValueError("not a heat map") from None
    place = found[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
    if cells.ndim == 2 and cells.size and place.size:
        share = cv2.resize(cells, place.shape[1::-1], interpolation=cv2.INTER_LINEAR)[..., None] * _HEAT_COVERS
        hot = np.asarray(_HEAT, np.float32)
        for row, covered in zip(place, share, strict=True):  # in float32, a whole image is large
            row[:] = row * (1 - covered) + hot * covered
    return jpeg(np.asarray(found[..., ::-1], np.uint8))


def _strip(thumbnails: Sequence[UInt8Array] | UInt8Array) -> bytes:
    rows = -(-len(thumbnails) // STRIP_COLUMNS)
    sheet = np.zeros((rows * THUMBNAIL, STRIP_COLUMNS * THUMBNAIL, 3), np.uint8)
    for index, picture in enumerate(thumbnails):
        top, left = (index // STRIP_COLUMNS) * THUMBNAIL, (index % STRIP_COLUMNS) * THUMBNAIL
        sheet[top : top + THUMBNAIL, left : left + THUMBNAIL] = picture
    return jpeg(sheet)
