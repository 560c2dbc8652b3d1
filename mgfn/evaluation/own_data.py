"""The user's own data for `mgfn-eval tables --protocol own`: a CSV of times and sources, divided by source."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from configs.command import gathered
from configs.sizes import CLIP_LENGTH
from mgfn.features import FeatureError, feature_shape, listed_file, video_name
from mgfn.training.config import ProblemsError
from mgfn.training.dataset import LabelledVideo
from mgfn.truth import BoolArray
from mgfn.videos import ListError, read_list_text

FOLDS: Final = 5
_COLUMNS: Final = ("file", "source", "start", "end")


@dataclass(frozen=True)
class OwnData:
    """Videos, the source of each (by name), and their anomalous frames (by name)."""

    videos: list[LabelledVideo]
    sources: dict[str, str]
    truth: dict[str, BoolArray]

    def split(self, seed: int) -> tuple[list[LabelledVideo], list[LabelledVideo]]:
        """Training and test videos of a seed. No source is on both sides; five seeds test each source once.

        Sources with and without an incident are divided separately. Raises ProblemsError for too few of either.
        """
        abnormal = {self.sources[v.name] for v in self.videos if v.abnormal}
        groups = [sorted(abnormal), sorted({*self.sources.values()} - abnormal)]
        test = {source for group in groups for source in _dealt(group)[seed % FOLDS :: FOLDS]}
        sides = [[v for v in self.videos if (self.sources[v.name] in test) is held] for held in (False, True)]
        for side, purpose in zip(sides, ("training", "test"), strict=True):
            if {v.abnormal for v in side} != {False, True}:
                raise ProblemsError(
                    [f"--labels: seed {seed} has only one class for {purpose}; {len(groups[0])} sources with and "
                     f"{len(groups[1])} without an incident are too few for {FOLDS} folds"]
                )  # fmt: skip
        return sides[0], sides[1]


def _dealt(group: Sequence[str]) -> list[str]:
    return [group[place] for place in np.random.default_rng(0).permutation(len(group))]


def read_own(labels: Path, features: Path, fps: float) -> OwnData:
    """Columns file, source, start, end: a row for each incident, times in seconds; both empty for an ordinary video.

    Raises ProblemsError with all problems.
    """
    try:
        rows = csv.DictReader(read_list_text(labels).splitlines(), skipinitialspace=True)
    except ListError as error:
        raise ProblemsError([f"--labels {labels}: {error}"]) from None
    columns = ",".join(_COLUMNS)
    lacking = [name for name in _COLUMNS if name not in (rows.fieldnames or [])]
    if lacking:
        raise ProblemsError([f"--labels {labels}: column {', '.join(lacking)} is missing; columns: {columns}"])
    problems: list[str] = []
    files: dict[str, Path] = {}
    sources: dict[str, str] = {}
    truth: dict[str, BoolArray] = {}
    for row in rows:
        where = f"--labels {labels}: line {rows.line_num}"
        file, source, start, end = ((row[name] or "").strip() for name in _COLUMNS)
        if not file or not source:
            problems.append(f"{where}: file and source must not be empty")
            continue
        name = video_name(file)
        path = listed_file(file, features, labels)
        try:
            frames = CLIP_LENGTH * feature_shape(path)[0]
        except FeatureError as error:
            problems.append(f"{where}: {error}")
            continue
        if sources.setdefault(name, source) != source:
            problems.append(f"{where}: {name} has source {source}, before {sources[name]}")
        files[name] = path
        marked = truth.setdefault(name, np.zeros(frames, bool))
        if not start and not end:
            continue
        try:
            first, past = float(start), float(end)
        except ValueError:
            first = past = -1.0
        if not 0 <= first < past or first * fps >= frames:
            problems.append(
                f"{where}: start {start!r}, end {end!r}; must be seconds within {frames / fps:g}, start first"
            )
            continue
        marked[int(first * fps) : max(int(first * fps) + 1, round(past * fps))] = True
    if not files and not problems:
        problems.append(f"--labels {labels}: lists no videos")
    if problems:
        raise ProblemsError(gathered(problems))
    videos = [LabelledVideo(name, (path,), bool(truth[name].any()), "train") for name, path in files.items()]
    return OwnData(videos, sources, truth)
