"""Converts the user's arguments to a list of videos, each with a name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.videos import SUFFIXES
from stream.base.errors import UsageError
from stream.base.redaction import redact_url


@dataclass(frozen=True)
class VideoFile:
    """A recording; `name` is its file name without suffix, `bytes` its size."""

    name: str
    path: Path
    bytes: int


def find_videos(inputs: Sequence[str]) -> list[VideoFile]:
    """Files as they were named, and those below each folder that look like videos, hidden ones left out.

    Raises UsageError for what does not exist or cannot be read, for a folder without videos, and for two videos with
    the same name.
    """
    videos: dict[str, VideoFile] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            paths = _below(path)
            if not paths:
                raise UsageError(f"{path}: no video in this folder; looked for {' '.join(sorted(SUFFIXES))}")
        elif path.is_file():
            paths = [path]
        else:
            raise UsageError(f"{redact_url(given)}: no such video file or folder")
        for found in paths:
            video = VideoFile(found.stem, found, found.stat().st_size)
            if (other := videos.setdefault(video.name, video)) is not video:
                raise UsageError(f"{other.path} and {found} would both become {video.name}.npy; rename one")
    return list(videos.values())


def _below(folder: Path) -> list[Path]:
    def unreadable(error: OSError) -> None:
        raise UsageError(f"{error.filename}: {error.strerror}") from None

    found = []
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(parent) / name for name in sorted(names) if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    return found
