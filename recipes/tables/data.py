"""Composed videos for the tables: one folder of feature files and labels for each fold, and held-out streams."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mgfn.training.compose import Composer, Mixture, Stream, Take
from mgfn.training.dataset import LabelledVideo
from recipes.default_head.takes import folds, load_takes

FOLDS = 5
CLIPS = 96  # a minute at 25 frames/s; divided into 32 parts for training
TRAINING_VIDEOS = 200  # half of them with an incident
HELD_OUT_STREAMS = 40  # of each fold, half of them with an incident
# only fights and ordinary life: the paper's benchmarks contain no tampering
MIXTURE = Mixture(incident_length=(6, 24), tampering=0.0, at_newest_edge=0.0, scene_change=0.03, disturbance=0.0)


@dataclass(frozen=True)
class Fold:
    """The training data of one fold, as feature files in `folder` and as streams, and its held-out streams."""

    folder: Path
    videos: list[LabelledVideo]
    streams: list[Stream]
    held_out: list[Stream]


def fights(data: Path, cache: Path) -> list[Take]:
    """Takes of real recordings: fights and ordinary life."""
    return load_takes(data, cache, ("squash-plain",))


def make_fold(takes: Sequence[Take], fold: int, folder: Path) -> Fold:
    """Compose a fold, identical on every call. Existing feature files are not written again."""
    sources = folds(takes, FOLDS)[fold]
    streams = composed([take for take in takes if take.source not in sources], TRAINING_VIDEOS, [fold, 0])
    held_out = composed([take for take in takes if take.source in sources], HELD_OUT_STREAMS, [fold, 1])
    return Fold(folder, _videos(streams, folder), streams, held_out)


def composed(takes: Sequence[Take], count: int, seed: Sequence[int]) -> list[Stream]:
    """Streams of `CLIPS` clips, alternately normal and abnormal."""
    composer = Composer(takes, MIXTURE, np.random.default_rng(seed))
    return [composer.stream(CLIPS, anomalous=bool(index % 2)) for index in range(count)]


def _videos(streams: Sequence[Stream], folder: Path) -> list[LabelledVideo]:
    names = [f"{'abnormal' if index % 2 else 'normal'}{index:03d}" for index in range(len(streams))]
    files = [folder / f"{name}.npy" for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "labels.csv").exists():
        for file, stream in zip(files, streams, strict=True):
            np.save(file, stream.features)
        with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(("file", "label"))
            rows.writerows((name, name.rstrip("0123456789")) for name in names)
    return [
        LabelledVideo(name, (file,), bool(stream.labels.any()), "train")
        for name, file, stream in zip(names, files, streams, strict=True)
    ]
