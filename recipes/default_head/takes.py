"""Groups cached clip features into takes, and takes into source-disjoint folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.sizes import CLIP_LENGTH
from engine.window import WINDOW
from mgfn.training.compose import FloatArray, Take
from recipes.default_head.features import STRIDE, recordings

UNKNOWN = "unknown"


def load_takes(data: Path, cache: Path, variants: Sequence[str], overlap: bool = True) -> list[Take]:
    """Runs of consecutive clips without overlap; recordings of unknown source share one name.

    `overlap`: the clips in between form separate takes.
    """
    sources = {recording.name: recording.source or UNKNOWN for recording in recordings(data)}
    takes: list[Take] = []
    for variant in variants:
        with np.load(cache / f"{variant}.npz") as file:
            features, videos, starts = file["features"], file["video"], file["start"]
            kinds, anomalous = file["kind"], file["anomalous"]
        same = (videos[1:] == videos[:-1]) & (kinds[1:] == kinds[:-1]) & (starts[1:] > starts[:-1])
        for run in np.split(np.arange(len(videos)), np.flatnonzero(~same) + 1):
            first = run[0]
            source, kind = sources[str(videos[first])], str(kinds[first])
            if kind in ("cut", "frozen"):
                takes += [Take(features[i : i + 1], source, kind, False, str(videos[first])) for i in run]
                continue
            # clips were taken every STRIDE frames: every second one follows the previous
            step = CLIP_LENGTH // STRIDE if len(run) < 2 or starts[run[1]] - starts[first] == STRIDE else 1
            for phase in range(min(step, len(run)) if overlap else 1):
                takes.append(Take(features[run[phase::step]], source, kind, bool(anomalous[first]), str(videos[first])))
    return takes


def folds(takes: Sequence[Take], count: int, seed: int = 1) -> list[set[str]]:
    """Sources held out in each fold; recordings of unknown source are always trained on."""
    known = sorted({take.source for take in takes} - {UNKNOWN})
    fights = [source for source in known if not source.startswith("recording-")]
    np.random.default_rng(seed).shuffle(fights)
    held_out = [set(fights[i::count]) for i in range(count)]
    for index, source in enumerate(s for s in known if s.startswith("recording-")):
        held_out[index % count].add(source)
    return held_out


def in_other_context(takes: Sequence[Take], rng: np.random.Generator) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Windows (n, 32, crops, C) that end with a clip of a fight recording, and whether that clip is anomalous.

    Before the clip's own recording, the window contains other ordinary recordings of its camera, so that repetitions in
    the window do not distinguish the clip from an incident. Recordings whose camera has no others are omitted.
    """
    plain = [take for take in takes if take.kind == "plain" and not take.source.startswith("recording-")]
    windows, labels = [], []
    for take in plain:
        others = [t for t in plain if t.source == take.source and not t.anomalous and t.video != take.video]
        for newest in range(len(take.features) if others else 0):
            before: list[FloatArray] = []
            while sum(map(len, before)) < WINDOW - newest - 1:
                before.append(others[int(rng.integers(len(others)))].features)
            context = np.concatenate([*before, take.features[:0]])[: WINDOW - newest - 1]
            windows.append(np.concatenate([context, take.features[: newest + 1]]))
            labels.append(take.anomalous)
    return np.stack(windows), np.array(labels)
