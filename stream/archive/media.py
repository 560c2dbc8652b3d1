"""The folder of images, clips, windows and heat maps: where the files of an event are, and which must be deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stream.alarm.event import EVENT_ID
from stream.archive.retention import DAY, Retention
from stream.base.log import log

Kind = Literal["snapshot", "clip", "window", "heat"]
SUFFIX: Final[dict[Kind, str]] = {"snapshot": ".jpg", "clip": ".mp4", "window": ".npz", "heat": ".heat"}
LOOK: Final = ".look"  # in the names of whole images that somebody waits for: they belong to no event
_NONE: Final[Mapping[str, float]] = {}


def media_path(folder: Path, event_id: str, kind: Kind) -> Path:
    """The path of a file of an event. Raises ValueError for an id that is not one of ours."""
    if not EVENT_ID.fullmatch(event_id):
        raise ValueError(f"{event_id!r} is not an event id")
    return folder / (event_id + SUFFIX[kind])


def look_path(folder: Path, name: str) -> Path:
    """The path of a whole image for somebody who waits for it; `name` is written like the id of an event."""
    return media_path(folder, name, "snapshot").with_suffix(f"{LOOK}.jpg")


@dataclass(frozen=True)
class MediaFile:
    """A file of an event on disk; `written` is its time on the steady clock (`SteadyClock.stamp`)."""

    event_id: str
    kind: Kind
    bytes: int
    written: float


def listed(folder: Path) -> Iterator[MediaFile]:
    """The finished files of a folder; foreign files are ignored."""
    kinds = {suffix: kind for kind, suffix in SUFFIX.items()}
    for path in folder.iterdir():
        if path.suffix in kinds and EVENT_ID.fullmatch(path.stem):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            yield MediaFile(path.stem, kinds[path.suffix], found.st_size, found.st_mtime)


def to_evict(
    files: Iterable[MediaFile], retention: Retention, now: float, free: int, own_days: Mapping[str, float] = _NONE
) -> list[MediaFile]:
    """The files that must be deleted by steady time `now` with `free` bytes of the disk left, oldest first. Pure.

    own_days: instead of the retention's `media_days`, by event.
    """
    kept = sorted(files, key=lambda file: file.written)
    total = sum(file.bytes for file in kept)
    evicted: list[MediaFile] = []
    for file in kept:
        expired = now - file.written > own_days.get(file.event_id, retention.media_days) * DAY
        if not expired and total <= retention.media_bytes and free >= retention.free_bytes:
            continue
        evicted.append(file)
        total -= file.bytes
        free += file.bytes
    return evicted


def evict(folder: Path, retention: Retention, now: float, own_days: Mapping[str, float] = _NONE) -> list[MediaFile]:
    """Delete what must be deleted by steady time `now`; see `to_evict`. Returns the deleted files.

    Decoders rename their files meanwhile, and users delete them. Raises OSError for a folder that cannot be read.
    """
    gone: list[MediaFile] = []
    refused: list[str] = []
    for file in to_evict(listed(folder), retention, now, shutil.disk_usage(folder).free, own_days):
        try:
            media_path(folder, file.event_id, file.kind).unlink(missing_ok=True)
        except OSError as error:
            refused.append(f"{file.event_id}: {error.strerror}")
        else:
            gone.append(file)
    if refused:
        log.error("old media cannot be deleted", files=len(refused), first=refused[0])
    return gone
