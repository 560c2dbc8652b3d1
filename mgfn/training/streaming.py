"""What a live user gets: the score of the newest clip, and the alarms that a threshold would raise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from configs.sizes import WINDOW
from mgfn.network import Head
from mgfn.training.compose import FloatArray, Stream

CLIP_SECONDS = 0.64
TOLERANCE_SECONDS = 2.0


@torch.inference_mode()
def newest_scores(head: Head, features: FloatArray, window: int = WINDOW) -> NDArray[np.float32]:
    """Scores (T,) of a stream's features (T, crops, C), each with the window of at most `window` clips behind it."""
    x = torch.from_numpy(features)
    scores = [head(x[None, :end]).scores[0, -1:] for end in range(1, min(window, len(x) + 1))]
    if len(x) >= window:
        windows = x.unfold(0, window, 1).permute(0, 3, 1, 2)  # (T - window + 1, window, crops, C)
        scores.append(torch.cat([head(part).scores[:, -1] for part in windows.split(64)]))
    return torch.cat(scores).numpy()


@dataclass(frozen=True)
class Alarms:
    """Counted over streams: incidents found, crossings outside incidents, and how much ordinary time there was."""

    incidents: int
    found: int
    false_alarms: int
    ordinary_seconds: float
    ordinary_seconds_in_alarm: float
    delays: tuple[float, ...]

    @property
    def false_per_three_minutes(self) -> float:
        return self.false_alarms / max(self.ordinary_seconds, 1e-9) * 180


def count_alarms(
    streams: Sequence[Stream],
    scores: Sequence[NDArray[np.float32]],
    threshold: float,
    seconds: float = CLIP_SECONDS,
) -> Alarms:
    """Upward crossings of `threshold`, before any minimum duration.

    An incident is found if the score is at or above the threshold at one of its clips or within two seconds after.
    A crossing more than two seconds away from every incident is a false alarm.
    """
    incidents = found = false_alarms = 0
    ordinary = in_alarm = 0.0
    delays = []
    near = int(TOLERANCE_SECONDS / seconds)
    for stream, score in zip(streams, scores, strict=True):
        above = score >= threshold
        edges = np.flatnonzero(np.diff(np.r_[False, stream.labels, False].astype(int)))
        close = np.zeros(len(above), bool)
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            close[max(0, begin - near) : end + near] = True
            incidents += 1
            hits = np.flatnonzero(above[begin : end + near])
            if len(hits):
                found += 1
                delays.append(float((hits[0] + 1) * seconds))
        crossings = above & ~np.r_[False, above[:-1]]
        false_alarms += int((crossings & ~close).sum())
        ordinary += float((~close).sum()) * seconds
        in_alarm += float((above & ~close).sum()) * seconds
    return Alarms(incidents, found, false_alarms, ordinary, in_alarm, tuple(delays))


def threshold_for(
    streams: Sequence[Stream], scores: Sequence[NDArray[np.float32]], false_per_three_minutes: float
) -> float:
    """The lowest threshold at and above which false alarms stay within the rate.

    Candidates are the scores themselves, from the highest down, at most a thousand of them.
    """
    values = np.unique(np.concatenate(list(scores)))[::-1]
    chosen = float(values[0])
    for threshold in values[:: max(1, len(values) // 1000)]:
        if count_alarms(streams, scores, float(threshold)).false_per_three_minutes > false_per_three_minutes:
            break
        chosen = float(threshold)
    return chosen


def clip_auc(streams: Sequence[Stream], scores: Sequence[NDArray[np.float32]]) -> float:
    """Area under the ROC curve of the newest clip's score over all clips of all streams."""
    labels = np.concatenate([stream.labels for stream in streams])
    values = np.concatenate(list(scores))
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / counts)[inverse]  # ties share their mean rank
    positive = int(labels.sum())
    negative = len(labels) - positive
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))
