"""One run: train on a fold, score its held-out streams; stored in a file, so that an interrupted table continues."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from configs.atomic import replacing
from mgfn.checkpoint import load_head
from mgfn.evaluation.scoring import LOOK_AHEADS, causal_scores, video_scores
from mgfn.network import Head
from mgfn.training.compose import Stream
from mgfn.training.loop import Data, fit
from mgfn.training.segments import Segments, prepare
from recipes.tables.data import Fold
from recipes.tables.methods import Method


@dataclass(frozen=True)
class Scores:
    """For each held-out stream: `whole` (streams, T), all clips at once; `live` (look-aheads, streams, T)."""

    whole: NDArray[np.float32]
    live: NDArray[np.float32]


def scored(head: Head, streams: Sequence[Stream]) -> Scores:
    """A head's scores of streams."""
    whole = [video_scores(head, stream.features) for stream in streams]
    live = [causal_scores(head, stream.features, LOOK_AHEADS) for stream in streams]
    return Scores(np.stack(whole), np.stack(live, axis=1))


def trained(method: Method, fold: Fold, seed: int) -> Head:
    """A head trained by the loop of `mgfn-train`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        segments = Segments(fold.folder / "segments", parts=32)
        _, channels = prepare(fold.videos, segments, None, lambda *_: None)
        data = Data(fold.videos, [], None, segments, channels)
        fit(method.config(seed), data, folder, torch.device("cpu"), "float32", False, lambda _: None)
        return load_head(folder / "last.safetensors")[0]


def kept(path: Path) -> Scores | None:
    """The result of an earlier run."""
    if not path.exists():
        return None
    with np.load(path) as file:
        return Scores(file["whole"], file["live"])


def keep(path: Path, scores: Scores) -> None:
    with replacing(path) as partial:
        np.savez(partial, whole=scores.whole, live=scores.live)
