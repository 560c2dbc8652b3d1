"""Videos of any length as 32 parts each: checked and averaged once, one file at a time, then read batch by batch.

UCF-Crime's features have about 60 GB, so only one stretch of one file is in memory at a time. Averages are stored on
disk (a tenth of the size), so that an epoch need not read everything again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.atomic import replacing
from configs.command import gathered
from configs.sizes import CLIP_LENGTH
from mgfn.features import FeatureError, FloatArray, check_finite, feature_shape, read_features
from mgfn.training.config import ProblemsError
from mgfn.training.dataset import LabelledVideo

_STRETCH_BYTES = 64 << 20


def segment(path: Path, parts: int) -> FloatArray:
    """Features (clips, crops, C) of a file as (parts, crops, C): divided by linspace, averaged within each part.

    As in the released code: part i contains the clips from the i-th to the next of `linspace(0, clips, parts + 1)`,
    rounded down; a part without clips uses the clip at its begin. Raises FeatureError.
    """
    clips, crops, channels = feature_shape(path)
    stretch = max(1, _STRETCH_BYTES // (4 * crops * channels))  # clips
    out = np.empty((parts, crops, channels), np.float32)
    features, mapped = read_features(path), 0
    for part, (begin, end) in enumerate(zip(*_bounds(clips, parts), strict=True)):
        total = np.zeros((crops, channels))
        for first in range(begin, end, stretch):
            last = min(end, first + stretch)
            if mapped > stretch:  # pages that were read count as ours until they are unmapped
                features, mapped = read_features(path), 0
            total += features[first:last].sum(axis=0, dtype=np.float64)
            mapped += last - first
        out[part] = total / (end - begin)
    return out


def _bounds(clips: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and past-the-last clip of each part."""
    edges = np.linspace(0, clips, parts + 1, dtype=int)
    return edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)


class Segments:
    """The parts of files, float32 (parts, crops, C), stored in a folder; files with `parts` clips are used directly.

    The name of a stored file contains path, size and modification time of the source, and the number of parts, so a
    changed source is read again.
    """

    def __init__(self, folder: Path, parts: int) -> None:
        self._folder = folder
        self.parts = parts
        self._kept: dict[Path, Path] = {}

    def add(self, path: Path) -> tuple[int, int, int]:
        """Check a file and store its parts; returns its shape (clips, crops, C). Raises FeatureError."""
        shape = feature_shape(path)
        if shape[0] == self.parts:
            check_finite(path, read_features(path))
            self._kept[path] = path
            return shape
        state = path.stat()
        key = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{self.parts}"
        kept = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
        if not kept.is_file():
            parts = segment(path, self.parts)
            if not np.isfinite(parts).all():  # a mean is finite only if all of its inputs are
                check_finite(path, read_features(path))
                raise FeatureError(f"features {path}: values too large for float32 means")
            with replacing(kept) as partial:
                np.save(partial, parts)
        self._kept[path] = kept
        return shape

    def load(self, path: Path) -> FloatArray:
        """The parts of an added file."""
        return np.array(read_features(self._kept[path]))

    def draw(self, path: Path, rng: np.random.Generator) -> FloatArray:
        """The parts of an added file, each shown by one of its clips, drawn at random, instead of their mean."""
        features = read_features(path)
        begin, end = _bounds(len(features), self.parts)
        return np.array(features[rng.integers(begin, end)])


def prepare(
    videos: Sequence[LabelledVideo], segments: Segments, crops: int | None, report: Callable[[int, int], None]
) -> tuple[int, int]:
    """Check all feature files and store their parts; returns (crops, channels), the same for all.

    `report` is called with the number of finished files and of all. Raises ProblemsError with all problems of the
    files: missing, misshapen, other crops or channels than the others, NaN, or another length than listed.
    """
    problems: list[str] = []
    shapes: dict[Path, tuple[int, int, int]] = {}
    files = [(video, file) for video in videos for file in video.files]
    for done, (video, file) in enumerate(files):
        report(done, len(files))
        try:
            shapes[file] = clips, _, _ = segments.add(file)
        except FeatureError as error:
            problems.append(str(error))
            continue
        # the last, partial clip may be missing; the length of files divided into parts is unknown
        differ = video.frames is not None and abs(clips * CLIP_LENGTH - video.frames) >= CLIP_LENGTH
        if differ and clips != segments.parts:
            problems.append(
                f"features {file}: {clips} clips ({clips * CLIP_LENGTH} frames), but the list says {video.frames}"
            )
    report(len(files), len(files))
    for video in videos:
        lengths = [shapes[file][0] for file in video.files if file in shapes]
        if len(set(lengths)) > 1:
            problems.append(
                f"features {video.files[0]} and the others of its video have {lengths} clips, expected equal"
            )
    found = [shape[1:] for shape in shapes.values()]
    usual = max(found, key=found.count, default=(crops or 1, 1))
    wanted = (crops or usual[0], usual[1])
    for file, shape in shapes.items():
        if shape[1:] != wanted:
            problems.append(
                f"features {file}: {shape[1]} crops of {shape[2]} channels, expected {wanted[0]} of {wanted[1]}"
            )
    if problems:
        raise ProblemsError(gathered(problems))
    return wanted
