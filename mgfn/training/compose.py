"""Composes untrimmed streams from short feature sequences: what a camera's window looks like, with labels.

Labels of clips are kept for measuring; training only sees whether a stream contains an incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
TAMPERING = ("cover", "shake", "defocus", "flash")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Take:
    """Features (n, crops, C) of consecutive clips of the recording `video`. `source` is the camera, `kind` the look."""

    features: FloatArray
    source: str
    kind: str
    anomalous: bool
    video: str = ""


@dataclass(frozen=True)
class Stream:
    """A composed stream: `features` (T, crops, C), `labels` (T,) bool. `source` is the incident's, or the first one's.

    `tampering` is the kind of its incident.
    """

    features: FloatArray
    labels: NDArray[np.bool_]
    source: str
    tampering: bool = False

    @property
    def anomalous(self) -> bool:
        """The video-level label."""
        return bool(self.labels.any())


@dataclass(frozen=True)
class Mixture:
    """How streams are composed. Lengths in clips, everything else as probabilities.

    novelty: that a recording of the camera appears which occurs nowhere else in the stream. stretch: that as many clips
    as an incident has come from such recordings, so that they are ordinary but new. Without either,
        everything new would be abnormal.
    """

    incident_length: tuple[int, int] = (3, 14)
    tampering: float = 0.3
    at_newest_edge: float = 0.5
    scene_change: float = 0.15
    disturbance: float = 0.1
    novelty: float = 0.1
    stretch: float = 0.0


class Composer:
    """Composes streams from takes. A stream stays with one camera, except for changes of scene."""

    def __init__(self, takes: Sequence[Take], mixture: Mixture, rng: np.random.Generator) -> None:
        self._mixture = mixture
        self._rng = rng
        self._ordinary: dict[str, list[Take]] = {}
        self._incidents: dict[str, list[Take]] = {}
        self._tampering: dict[str, list[Take]] = {}
        self._disturbances: dict[str, list[Take]] = {}
        for take in takes:
            if take.kind in ("cut", "frozen"):
                group = self._disturbances
            elif not take.anomalous:
                group = self._ordinary
            else:
                group = self._tampering if take.kind in TAMPERING else self._incidents
            group.setdefault(take.source, []).append(take)

    @property
    def kinds(self) -> tuple[bool, ...]:
        """The kinds of incident that the mixture asks for: False recorded, True tampering."""
        share = self._mixture.tampering
        return tuple(tampering for tampering, asked in ((False, share < 1), (True, share > 0)) if asked)

    def stream(self, length: int, anomalous: bool, tampering: bool | None = None) -> Stream:
        """A stream of `length` clips, with one incident or none; `tampering` chooses its kind, by default at random."""
        if not anomalous:
            source = self._pick(list(self._ordinary))
            return Stream(self._background(source, length), np.zeros(length, bool), source)
        mixture, rng = self._mixture, self._rng
        if tampering is None:
            tampering = rng.random() < mixture.tampering
        groups = self._tampering if tampering else self._incidents
        source = self._pick(list(groups))
        place = self._place(length)
        features = self._background(source if source in self._ordinary else None, length)
        features[place] = self._joined(groups[source], place.stop - place.start, same_kind=tampering)
        labels = np.zeros(length, bool)
        labels[place] = True
        return Stream(features, labels, source, tampering)

    def _place(self, length: int) -> slice:
        """Where the incident is in a stream: half of the time at its newest edge."""
        shortest, longest = self._mixture.incident_length
        duration = min(length, int(self._rng.integers(shortest, longest + 1)))
        latest = length - duration
        at_edge = self._rng.random() < self._mixture.at_newest_edge
        begin = latest if at_edge else int(self._rng.integers(latest + 1))
        return slice(begin, begin + duration)

    def _background(self, source: str | None, length: int) -> FloatArray:
        """Ordinary clips of one camera; `stretch` of them may come from recordings that occur nowhere else."""
        source = source or self._pick(list(self._ordinary))
        videos = sorted({take.video for take in self._ordinary[source]})
        if not self._mixture.stretch or len(videos) < 2:
            return self._ordinary_clips(source, self._ordinary[source], length)
        self._rng.shuffle(videos)
        usual = set(videos[: int(self._rng.integers(1, len(videos)))])
        takes = self._ordinary[source]
        clips = self._ordinary_clips(source, [take for take in takes if take.video in usual], length)
        if self._rng.random() < self._mixture.stretch:
            place = self._place(length)
            others = [take for take in takes if take.video not in usual]
            clips[place] = self._joined(others, place.stop - place.start, same_kind=False)
        return clips

    def _ordinary_clips(self, source: str, takes: Sequence[Take], length: int) -> FloatArray:
        """Clips of one camera, sometimes of another; with short disturbances in between."""
        mixture, rng = self._mixture, self._rng
        rare = self._rare(takes)
        parts: list[FloatArray] = []
        while sum(map(len, parts)) < length:
            if rng.random() < mixture.scene_change / 4:
                source = self._pick(list(self._ordinary))
                takes = self._ordinary[source]
                rare = self._rare(takes)
            if source in self._disturbances and rng.random() < mixture.disturbance:
                take = self._pick(self._disturbances[source])
                repeats = int(rng.integers(2, 20)) if take.kind == "frozen" else 1
                parts.append(np.repeat(take.features, repeats, axis=0))
            shown = takes
            if rare is not None and rng.random() < mixture.novelty:
                shown, rare = [take for take in takes if take.video == rare], None
            elif rare is not None:
                shown = [take for take in takes if take.video != rare]
            take = self._pick(shown)
            begin = int(rng.integers(max(1, len(take.features) - length + 1)))
            parts.append(take.features[begin:][:length])
        return np.concatenate(parts)[:length].copy()

    def _rare(self, takes: Sequence[Take]) -> str | None:
        """A video of the camera that a stream shows at most once, because ordinary life does not repeat the same
        clips.
        """
        videos = sorted({take.video for take in takes})
        return self._pick(videos) if len(videos) > 1 else None

    def _joined(self, takes: Sequence[Take], length: int, same_kind: bool) -> FloatArray:
        first = self._pick(takes)
        parts = [first.features]
        if same_kind:  # a covered lens stays covered: repeat its last clips
            steady = first.features[1:] if len(first.features) > 1 else first.features
            while sum(map(len, parts)) < length:
                parts.append(steady)
        while sum(map(len, parts)) < length:
            parts.append(self._pick(takes).features)
        return np.concatenate(parts)[:length]

    def _pick(self, items: Sequence[Item]) -> Item:
        return items[int(self._rng.integers(len(items)))]
