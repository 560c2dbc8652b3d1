"""Videos as named by lists: one feature file per line or, for XD-Violence, five files of one crop per video."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from configs.text import EncodingError, decode
from mgfn.features import FloatArray, check_finite, feature_shape, is_there, listed_file, read_features

XD_CROPS: Final = (0, 1, 2, 3, 4)
_CROP = re.compile(r"(?<=.)__(\d)$")


class ListError(Exception):
    """A list that cannot be read; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class Video:
    """A video: its name, its feature files (one, or one for each crop), and the line of the list."""

    name: str
    files: tuple[Path, ...]
    listed: str = field(default="", kw_only=True)

    @property
    def clips(self) -> int:
        """Clips of 16 frames. Raises FeatureError."""
        return feature_shape(self.files[0])[0]

    def features(self) -> FloatArray:
        """Float32 (clips, crops, C), with the crops of all files side by side. Raises FeatureError for NaN or
        infinity.
        """
        parts = []
        for path in self.files:
            part = read_features(path)
            check_finite(path, part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


SomeVideo = TypeVar("SomeVideo", bound=Video)


def read_list_text(path: Path) -> str:
    """The text of a list. Raises ListError if it is missing or not UTF-8."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise ListError(error.strerror or "cannot be read") from None
    except EncodingError as error:
        raise ListError(str(error)) from None


def entries_of(text: str) -> Iterator[tuple[str, str]]:
    """The lines that name a file, each with its place: ("line 3", "UCF_Test/Abuse028_x264_i3d.npy")."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"line {number}", line.strip()


def has_crop_number(name: str) -> bool:
    """Whether a video's name ends in the number of a crop, `__0` to `__9`."""
    return _CROP.search(name) is not None


def without_crop_number(name: str) -> str:
    """The name of the video to which a file of one crop belongs."""
    return _CROP.sub("", name)


def files_of(entry: str, folder: Path | None, listing: Path, five_files: bool) -> tuple[Path, ...]:
    """The feature file of an entry; with `five_files`, for a name without a crop number, the five files of its video.

    A single file with that name, which then contains all crops, takes precedence over the five.
    """
    found = listed_file(entry, folder, listing)
    if not five_files or has_crop_number(found.stem) or is_there(found):
        return (found,)
    bare = entry.removesuffix(".npy")
    return tuple(listed_file(f"{bare}__{crop}", folder, listing) for crop in XD_CROPS)


def gather_crops(
    videos: Sequence[SomeVideo], problems: list[str], expected: Sequence[int] | None = None
) -> list[SomeVideo]:
    """Combine names that differ only in the number of a crop into one video, with its files in the order of these
    numbers.

    `expected`: the required numbers, each once; None: those of the first video that has any. Problems are added to
    `problems`.
    """
    groups: dict[str, list[SomeVideo]] = {}
    for video in videos:
        groups.setdefault(without_crop_number(video.name), []).append(video)
    gathered: list[SomeVideo] = []
    for name, parts in groups.items():
        if not any(has_crop_number(part.name) for part in parts):
            gathered += parts
            continue
        parts = sorted(parts, key=lambda part: part.name)
        if expected is None:
            expected = sorted({int(match[1]) for part in parts if (match := _CROP.search(part.name))})
        if [part.name for part in parts] == [f"{name}__{crop}" for crop in expected]:
            gathered.append(replace(parts[0], name=name, files=tuple(part.files[0] for part in parts)))
            continue
        listed = ", ".join(f"{part.name} ({part.listed})" for part in parts)
        numbers = ", ".join(f"__{crop}" for crop in expected)
        problems.append(f"{name}: the list has {listed}; expected {numbers}, each once")
    problems += listed_twice(gathered)
    return gathered


def listed_twice(videos: Sequence[Video]) -> list[str]:
    """A line for each name that is listed more than once, with its places."""
    found = []
    for name, count in Counter(video.name for video in videos).items():
        if count > 1:
            where = ", ".join(video.listed for video in videos if video.name == name)
            found.append(f"{name} is listed {count} times ({where})")
    return found
