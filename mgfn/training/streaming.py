"""What a live user would get: the alarms that a threshold would raise on the scores of the newest clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from mgfn.training.compose import Stream

CLIP_SECONDS = 0.64
TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class Alarms:
    """Counts over streams: incidents found, crossings outside incidents, and the amount of ordinary time."""

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

    An incident is found if the score is at or above the threshold at one of its clips or within two seconds after it. A
    crossing more than two seconds away from every incident is a false alarm.
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
    """The lowest threshold from which on false alarms stay within the rate.

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
    return float(roc_auc_score(labels, values))
