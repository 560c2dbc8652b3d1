"""The recordings in `../shared/data/field`, with their labels."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALM_LEAST: Final = 5.0  # seconds of calm needed for a history
CALM_ENDS_BEFORE: Final = 1.0  # seconds before the incident, because alarms already count there


@dataclass(frozen=True)
class Incident:
    """Times in seconds of media time, and the kind of incident."""

    kind: str
    violent: bool
    acted: bool
    start: float
    end: float


@dataclass(frozen=True)
class Recording:
    """One recording. `incident` is None for an ordinary one. Recordings of the same `source` are left out together."""

    name: str
    path: Path
    source: str
    incident: Incident | None
    judged: bool

    def calm(self, length: float) -> tuple[float, float] | None:
        """Begin and end of the part that shows ordinary life, in a recording of `length` seconds.

        For an ordinary recording, its first half. Otherwise the calm before the incident or, if that is shorter than
        CALM_LEAST, after it. None if there is none.
        """
        if self.incident is None:
            return 0.0, length / 2
        before = self.incident.start - CALM_ENDS_BEFORE
        if before >= CALM_LEAST:
            return 0.0, before
        after = self.incident.end + 2.0
        return (after, length) if length - after >= CALM_LEAST else None

    def judged_from(self, settled: bool) -> float:
        """Where judging starts, as a share of the length: the part that makes the history is not judged."""
        return 0.5 if settled and self.incident is None else 0.0


def field_recordings(data: Path, judged_only: bool = True) -> list[Recording]:
    """The recordings in the order of the manifest. Raises FileNotFoundError if there are none in `data`."""
    folder = data / "field"
    found = []
    with (folder / "manifest.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            incident = None
            if row["kind"] not in ("ordinary", "visitor") and row["start"]:
                incident = Incident(
                    row["kind"], row["violent"] == "yes", row["acted"] == "yes",
                    float(row["start"]), float(row["end"]),
                )  # fmt: skip
            judged = row["judged"] == "yes"
            if judged or not judged_only:
                path = folder / "videos" / row["file"]
                found.append(Recording(path.stem, path, row["source"], incident, judged))
    return found


def normal_recordings(data: Path) -> list[Recording]:
    """The recordings in `../shared/data/cctv-normal`: ordinary life, used for training and not judged."""
    paths = sorted(path for path in (data / "cctv-normal").iterdir() if path.suffix in (".mp4", ".avi"))
    return [Recording(f"normal-{path.stem}", path, f"N{path.stem}", None, False) for path in paths]


def groups(weights: Mapping[str, int], count: int = 10) -> list[frozenset[str]]:
    """Divide the sources into `count` groups of similar weight: the heaviest source first, each into the lightest
    group.
    """
    bins: list[tuple[int, list[str]]] = [(0, []) for _ in range(count)]
    for source in sorted(weights, key=lambda name: (-weights[name], name)):
        lightest = min(range(count), key=lambda index: (bins[index][0], index))
        bins[lightest] = (bins[lightest][0] + weights[source], [*bins[lightest][1], source])
    return [frozenset(sources) for _, sources in bins if sources]
