"""The videos of a test list: one feature file each, or one for each crop (`NAME__0` to `NAME__4`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from configs.command import gathered
from mgfn.features import FeatureError, FloatArray, check_finite, is_there, listed_file, read_features

_XD_PARTS: Final = (0, 1, 2, 3, 4)
_PART = re.compile(r"(.+)__(\d)")


class Protocol(StrEnum):
    """A published benchmark."""

    UCF_CRIME = "ucf-crime"
    XD_VIOLENCE = "xd-violence"


class EvaluationError(Exception):
    """An evaluation that cannot be done as asked; the message is one line for the user."""


@dataclass(frozen=True)
class Video:
    """A listed video of `clips` clips of 16 frames; `files` hold its crops."""

    name: str
    files: tuple[Path, ...]
    clips: int

    def features(self) -> FloatArray:
        """Float32 (clips, crops, C), the crops of all files side by side. Raises FeatureError for NaN or infinity."""
        parts = []
        for path in self.files:
            part = read_features(path)
            check_finite(path, part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def read_list(path: Path, folder: Path | None, channels: int, protocol: Protocol | None = None) -> list[Video]:
    """The videos of a list file, in its order: one path a line, as the authors' lists have it.

    Files are looked for as `mgfn.features.listed_file` does, in `folder` where it is given. Names that end in `__0` to
    `__9` are crops of one video: of XD-Violence `__0` to `__4`, else the same for every video as for the first. A name
    of XD-Violence without a number stands for all five, unless one file holds them.
    Raises EvaluationError with all that does not fit.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"--list {path}: {getattr(error, 'strerror', None) or 'not text'}") from None
    entries = [line for line in lines if line]
    if not entries:
        raise EvaluationError(f"--list {path}: is empty, expected one feature file (.npy) a line")
    problems = []
    grouped: dict[str, dict[int | None, Path]] = {}
    for found in (file for entry in entries for file in _files(entry, folder, path, protocol)):
        stem = found.name.removesuffix(".npy")
        matched = _PART.fullmatch(stem)
        name, part = (matched[1], int(matched[2])) if matched else (stem, None)
        if part in grouped.setdefault(name, {}):
            problems.append(f"{stem} is listed twice")
        grouped[name][part] = found
    expected = list(_XD_PARTS) if protocol is Protocol.XD_VIOLENCE else []
    videos = []
    for name, files in grouped.items():
        numbers = sorted(part for part in files if part is not None)
        expected = expected or numbers
        if numbers and (numbers != expected or None in files):
            problems.append(f"{name} has the files {_shown(numbers)}, expected {_shown(expected)}")
        paths = tuple(files[part] for part in numbers) or (files[None],)
        try:
            counts = [len(read_features(path, channels)) for path in paths]
        except FeatureError as error:
            problems.append(str(error))
            continue
        if len(set(counts)) > 1:
            problems.append(f"the files of {name} hold {', '.join(map(str, counts))} clips, expected the same number")
        videos.append(Video(name, paths, counts[0]))
    if problems:
        hint = "" if folder is not None else " (for a list of another machine's paths give --features DIR)"
        shown = "; ".join(gathered(problems))
        raise EvaluationError(f"--list {path}: {len(problems)} entries do not fit{hint}: {shown}")
    return videos


def _files(entry: str, folder: Path | None, listing: Path, protocol: Protocol | None) -> list[Path]:
    """The file of an entry, or the five that it stands for."""
    found = listed_file(entry, folder, listing)
    if protocol is not Protocol.XD_VIOLENCE or is_there(found) or _PART.fullmatch(found.stem):
        return [found]
    bare = entry.removesuffix(".npy")
    files = [listed_file(f"{bare}__{part}", folder, listing) for part in _XD_PARTS]
    return files if any(is_there(file) for file in files) else [found]


def _shown(parts: Sequence[int]) -> str:
    return " ".join(f"__{part}" for part in parts)
