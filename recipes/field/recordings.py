"""The recordings of `../shared/data/field` and what is known of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CALM_LEAST: Final = 5.0  # seconds of calm that make a history
CALM_ENDS_BEFORE: Final = 1.0  # seconds before the incident, by when an alarm already counts


@dataclass(frozen=True)
class Incident:
    """When it happens, in seconds of media time, and what it is."""

    kind: str
    violent: bool
    acted: bool
    start: float
    end: float


@dataclass(frozen=True)
class Recording:
    """One recording. `incident` is None for an ordinary one; `source` groups what is left out together."""

    name: str
    path: Path
    source: str
    incident: Incident | None
    judged: bool

    def calm(self, length: float) -> tuple[float, float] | None:
        """From when to when the recording, `length` seconds long, shows this camera's ordinary life.

        Of an ordinary recording its first half; else the calm before the incident or, where there is less than
        CALM_LEAST of it, after it. None: there is none.
        """
        if self.incident is None:
            return 0.0, length / 2
        before = self.incident.start - CALM_ENDS_BEFORE
        if before >= CALM_LEAST:
            return 0.0, before
        after = self.incident.end + 2.0
        return (after, length) if length - after >= CALM_LEAST else None

    def judged_from(self, settled: bool) -> float:
        """From when on it is judged, as a share of its length: an ordinary one's history is not judged."""
        return 0.5 if settled and self.incident is None else 0.0


def field_recordings(data: Path, judged_only: bool = True) -> list[Recording]:
    """The recordings in the order of the manifest. Raises FileNotFoundError where `data` holds none."""
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
    """The recordings of `../shared/data/cctv-normal`: ordinary life, all of it in training and not judged."""
    paths = sorted(path for path in (data / "cctv-normal").iterdir() if path.suffix in (".mp4", ".avi"))
    return [Recording(f"normal-{path.stem}", path, f"N{path.stem}", None, False) for path in paths]


def groups(weights: Mapping[str, int], count: int = 10) -> list[frozenset[str]]:
    """Sources by weight in `count` groups, each left out together: the heaviest first, into the lightest group."""
    bins: list[tuple[int, list[str]]] = [(0, []) for _ in range(count)]
    for source in sorted(weights, key=lambda name: (-weights[name], name)):
        lightest = min(range(count), key=lambda index: (bins[index][0], index))
        bins[lightest] = (bins[lightest][0] + weights[source], [*bins[lightest][1], source])
    return [frozenset(sources) for _, sources in bins if sources]
