"""What it costs that heads learn from parts, which are means of clips, but see single clips when live.

Each row: a preset, the number of parts of a video of 96 clips, and what a part shows in training. Figures: the AUC on
held-out streams divided as in training with means; on their single clips, all at once; and live (the newest clip of a
window of up to 32).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from mgfn.checkpoint import load_head
from mgfn.evaluation.scoring import newest_scores, video_scores
from mgfn.network import Head
from mgfn.training.compose import Stream
from mgfn.training.config import TrainConfig
from mgfn.training.loop import Data, fit
from mgfn.training.segments import Segments, prepare
from recipes.tables.data import CLIPS, Fold
from recipes.tables.methods import Method

STEPS: Final = 100
ROWS: Final = [
    (title, preset, parts, part)
    for title, preset in (("Sultani et al. (2018)", "sultani"), ("MGFN, small-data", "small-data"))
    for parts in (32, 8)
    for part in ("mean", "clip")
]


@dataclass(frozen=True)
class Figures:
    """AUC on averaged parts, on single clips at once, and live."""

    averaged: float
    whole: float
    live: float


def single_clips(folds: Sequence[Fold]) -> list[str]:
    """A line for each row; seed s on fold s, mean and spread over the seeds."""
    lines = [
        "| | clips in a part | trained on | AUC, averaged parts | AUC, single clips | AUC, live |",
        "|---|---|---|---|---|---|",
    ]
    for title, preset, parts, part in ROWS:
        runs = [measured(settings(preset, parts, part, seed), fold) for seed, fold in enumerate(folds)]
        cells = [[getattr(run, name) for run in runs] for name in ("averaged", "whole", "live")]
        texts = [f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in cells]
        shown = "their mean" if part == "mean" else "one of them"
        lines.append(f"| {title} | {CLIPS // parts} | {shown} | {' | '.join(texts)} |")
        print(lines[-1], flush=True)
    return lines


def settings(preset: str, parts: int, part: str, seed: int) -> TrainConfig:
    """The table's budget, with other parts."""
    found = Method("", preset).config(seed).model_dump()
    found |= {"steps": STEPS, "validate_every": STEPS, "data": {"parts": parts, "part": part}}
    return TrainConfig.model_validate(found)


def measured(config: TrainConfig, fold: Fold) -> Figures:
    """Train on the fold's videos, measure on its held-out streams."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        segments = Segments(fold.folder / "segments", config.data.parts)
        _, channels = prepare(fold.videos, segments, None, lambda *_: None)
        data = Data(fold.videos, [], None, segments, channels)
        fit(config, data, Path(name), torch.device("cpu"), "float32", False, lambda _: None)
        head, _ = load_head(Path(name) / "last.safetensors")
    averaged = [averages(stream, config.data.parts) for stream in fold.held_out]
    return Figures(_auc(head, averaged), _auc(head, fold.held_out), _auc(head, fold.held_out, live=True))


def averages(stream: Stream, parts: int) -> Stream:
    """A stream as its parts; a part is anomalous if any of its clips is."""
    shape = (parts, len(stream.labels) // parts)
    features = stream.features.reshape(*shape, *stream.features.shape[1:]).mean(axis=1)
    labels = stream.labels.reshape(shape).max(axis=1)
    return Stream(features, labels, stream.source)


def _auc(head: Head, streams: Sequence[Stream], live: bool = False) -> float:
    scores = [newest_scores(head, s.features) if live else video_scores(head, s.features) for s in streams]
    return float(roc_auc_score(np.concatenate([s.labels for s in streams]), np.concatenate(scores)))
