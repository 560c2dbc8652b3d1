"""The recordings that the benchmark judges, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recipes.field_head.data import Recording as LabelledRecording

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


def benchmark_recordings(labelled: Iterable[LabelledRecording]) -> list[Recording]:
    """The judged recordings of `field`, and those of `cctv-normal`, which are ordinary and not judged."""
    found = []
    for recording in labelled:
        if recording.judged or recording.name.startswith("normal/"):
            incident = None
            if recording.kind != "ordinary":
                incident = Incident(recording.kind, recording.violent, recording.acted, recording.start, recording.end)
            name = recording.name.removeprefix("field/").replace("/", "-")
            found.append(Recording(name, recording.path, recording.source, incident, recording.judged))
    return found


def groups(weights: Mapping[str, int], count: int = 10) -> list[frozenset[str]]:
    """Divide the sources into `count` groups of similar weight: the heaviest source first, each into the lightest
    group.
    """
    bins: list[tuple[int, list[str]]] = [(0, []) for _ in range(count)]
    for source in sorted(weights, key=lambda name: (-weights[name], name)):
        lightest = min(range(count), key=lambda index: (bins[index][0], index))
        bins[lightest] = (bins[lightest][0] + weights[source], [*bins[lightest][1], source])
    return [frozenset(sources) for _, sources in bins if sources]
