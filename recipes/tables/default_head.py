"""What a live user would get from the default head: trained without each fold in turn, on streams of that fold."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from mgfn.evaluation.scoring import LOOK_AHEADS, causal_scores
from recipes.default_head.features import extract
from recipes.default_head.takes import folds, load_takes
from recipes.default_head.train import (
    CONFIG,
    FOLDS,
    HELD_OUT_CLIPS,
    HELD_OUT_STREAMS,
    MIXTURE,
    RATES,
    SETTINGS,
    VARIANTS,
    composed,
    train_head,
)
from recipes.tables.report import streaming
from recipes.tables.runs import Scores, keep, kept

MEASURED_ON = ("fights", "tampering", "ordinary")


def default_head(data: Path, cache: Path, graph: Path | None = None) -> list[str]:
    """The streaming table at each of the recipe's rates of false alarms; finished folds are kept.

    `graph` is another form of the backbone.
    """
    extract(data, cache, list(VARIANTS), graph)
    takes = load_takes(data, cache, VARIANTS)
    settings = zlib.crc32(repr((CONFIG, SETTINGS, MIXTURE)).encode())
    runs: dict[tuple[int, int], Scores] = {}
    held_out = {}
    for fold, sources in enumerate(folds(takes, FOLDS)):
        unseen = [take for take in takes if take.source in sources]
        streams = [
            stream for kind in MEASURED_ON for stream in composed(unseen, kind, fold, HELD_OUT_STREAMS, HELD_OUT_CLIPS)
        ]
        path = cache / "tables" / f"default-head-{settings:08x}" / f"{fold}.npz"
        scores = kept(path)
        if scores is None:
            head = train_head([take for take in takes if take.source not in sources], seed=0)
            live = np.stack([causal_scores(head, stream.features, LOOK_AHEADS) for stream in streams], axis=1)
            scores = Scores(live[0], live)
            keep(path, scores)
            print(f"default head without fold {fold}", flush=True)
        runs[fold, 0], held_out[fold] = scores, streams
    titles = {rate: f"{rate:g} false alarms in three minutes" for rate in RATES}
    return [line for rate, title in titles.items() for line in [*streaming(title, runs, held_out, rate), ""]]
