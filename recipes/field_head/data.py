"""All available recordings with their labels, and the labels of their clips."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

# kinds that one probe learns together; violence first
KINDS: Final = {"fight": 1, "assault": 1, "robbery": 1, "fall": 2, "theft": 3, "vandalism": 3, "accident": 4}
TAMPERING: Final = 5
LEFT_OUT: Final = -1
WEAK: Final = -2  # somewhere in the recording, at an unknown time


@dataclass(frozen=True)
class Recording:
    """`start`, `end` in seconds: NaN if unknown, -inf and inf if the whole recording is the incident."""

    name: str
    path: Path
    source: str
    kind: str
    violent: bool
    acted: bool
    judged: bool
    start: float = math.nan
    end: float = math.nan


def all_recordings(data: Path) -> dict[str, Recording]:
    """The recordings in `../shared/data` by name. Raises FileNotFoundError if they are missing."""
    found: list[Recording] = []
    with (data / "field" / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = data / "field" / "videos" / row["file"]
            times = (float(row["start"] or "nan"), float(row["end"] or "nan"))
            violent, acted, judged = (row[name] == "yes" for name in ("violent", "acted", "judged"))
            name = f"field/{path.stem}"
            found.append(Recording(name, path, row["source"], row["kind"], violent, acted, judged, *times))
    with (data / "cctv-fights" / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = data / "cctv-fights" / "videos" / row["file"]
            fight = row["anomalous"] == "1"
            source = "F" + (row["source"] or "unknown")
            times = (-math.inf, math.inf) if fight else (math.nan, math.nan)
            kind = "fight" if fight else "ordinary"
            found.append(Recording(f"fights/{path.stem}", path, source, kind, fight, False, False, *times))
    for path in sorted((data / "cctv-normal").iterdir()):
        if path.suffix in (".mp4", ".avi"):
            found.append(Recording(f"normal/{path.stem}", path, f"N{path.stem}", "ordinary", False, False, False))
    return {recording.name: recording for recording in found}


@dataclass(frozen=True)
class Clips:
    """Clips of cached views: roots of features (n, 2688), labels (n,) as in KINDS, and their origin."""

    roots: NDArray[np.float32]
    label: NDArray[np.int64]
    view: NDArray[np.str_]
    recording: NDArray[np.str_]
    source: NDArray[np.str_]
    start: NDArray[np.float64]
    end: NDArray[np.float64]


def load_clips(cache: Path, recordings: Mapping[str, Recording], views: tuple[str, ...]) -> Clips:
    """All cached clips of these views."""
    roots, labels, names, of_view, starts, ends = [], [], [], [], [], []
    for view in views:
        for name, recording in recordings.items():
            path = cache / view / f"{name.replace('/', '__')}.npz"
            if not path.exists():
                continue
            with np.load(path) as file:
                start, end, kind = file["start"], file["end"], file["kind"]
                roots.append(np.sqrt(np.maximum(file["features"][:, :2688], 0)).astype(np.float32))
            labels.append([label_of(recording, s, e, str(k)) for s, e, k in zip(start, end, kind, strict=True)])
            names += [name] * len(start)
            of_view += [view] * len(start)
            starts.append(start)
            ends.append(end)
    sources = np.array([recordings[name].source for name in names])
    return Clips(
        np.concatenate(roots), np.concatenate(labels), np.array(of_view), np.array(names), sources,
        np.concatenate(starts), np.concatenate(ends),
    )  # fmt: skip


def label_of(recording: Recording, start: float, end: float, kind: str) -> int:
    """0 ordinary, KINDS, TAMPERING, LEFT_OUT (near the edges of an incident, or of no kind) or WEAK."""
    if kind in ("cover", "shake", "defocus", "flash"):
        return TAMPERING
    if recording.kind == "ordinary":
        return 0
    if recording.kind not in KINDS:
        return LEFT_OUT
    if math.isnan(recording.start):
        return WEAK
    inside = min(end, recording.end) - max(start, recording.start)
    if inside >= 0.5 * (end - start) or inside >= 0.5 * (recording.end - recording.start):
        return KINDS[recording.kind]
    calm = end <= recording.start - 0.5 or start >= recording.end + 4
    return 0 if calm else LEFT_OUT
