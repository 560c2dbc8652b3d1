"""Frame-level figures of the benchmarks, with bootstrap confidence intervals over videos."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from mgfn.evaluation.videos import Protocol
from mgfn.truth import BoolArray, clip_of_frame

FALSE_ALARM_THRESHOLD: Final = 0.5
XD_CLASSES: Final = {
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "CarAccident",
    "G": "Explosion",
}


@dataclass(frozen=True)
class ScoredVideo:
    """`scores` float32 (clips,), `labels` bool (frames,)."""

    name: str
    scores: NDArray[np.float32]
    labels: BoolArray

    @property
    def abnormal(self) -> bool:
        """Whether any frame is anomalous."""
        return bool(self.labels.any())


@dataclass(frozen=True)
class Measures:
    """Figures over frames; NaN if the frames do not define one (a curve needs frames of both kinds).

    average_precision: the usual one (a sum of steps). precision_recall_trapezoid: the area under straight lines between
    the points of the same curve, which the released code prints
        as AP.
    auc_abnormal_videos: over the frames of videos with an anomaly.
    false_alarm_rate: share of the frames of normal videos that score 0.5 or more.
    """

    auc: float
    average_precision: float
    precision_recall_trapezoid: float
    auc_abnormal_videos: float
    false_alarm_rate: float


@dataclass(frozen=True)
class Interval:
    """95 % confidence interval, percentiles of the bootstrap; NaN if no resample defines the figure."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassAuc:
    """AUC of the abnormal videos of one class: over their frames alone, and together with all normal videos."""

    name: str
    videos: int
    alone: float
    with_normal: float


class Frames:
    """All frames of some videos, with the score of each clip repeated for its 16 frames.

    Frames with the same clip and label are one row that counts as many. Rows, highest score first: `scores`, `labels`,
    `counts` (frames), `video` (its index).
    """

    def __init__(self, videos: Sequence[ScoredVideo]) -> None:
        parts = []
        for index, video in enumerate(videos):
            clips = clip_of_frame(len(video.labels), len(video.scores))
            for label in (False, True):
                counts = np.bincount(clips[video.labels == label], minlength=len(video.scores))
                row = np.ones(len(counts))
                parts.append(np.stack([video.scores, label * row, counts, index * row]))
        rows = np.concatenate(parts, axis=1)
        rows = rows[:, rows[2] > 0]
        scores, labels, counts, video_of = rows[:, np.argsort(-rows[0], kind="stable")]
        self.scores, self.labels, self.counts = scores, labels.astype(bool), counts
        self.video = video_of.astype(int)
        self.abnormal = np.array([video.abnormal for video in videos])

    def measure(self, times: NDArray[np.int64] | None = None) -> Measures:
        """The figures, with each video counted once, or as many `times` (videos,) as given."""
        weights = self.counts if times is None else self.counts * times[self.video]
        taken = weights > 0
        scores, labels, weights = self.scores[taken], self.labels[taken], weights[taken]
        of_abnormal = self.abnormal[self.video[taken]]
        average = trapezoid = math.nan
        if labels.any():
            average = float(average_precision_score(labels, scores, sample_weight=weights))
            precision, recall, _ = precision_recall_curve(labels, scores, sample_weight=weights)
            trapezoid = float(auc(recall, precision))
        normal_weights = weights[~of_abnormal]
        high = scores[~of_abnormal] >= FALSE_ALARM_THRESHOLD
        return Measures(
            area(labels, scores, weights),
            average,
            trapezoid,
            area(labels[of_abnormal], scores[of_abnormal], weights[of_abnormal]),
            float(normal_weights[high].sum() / normal_weights.sum()) if len(normal_weights) else math.nan,
        )


def area(labels: BoolArray, scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Area under the ROC curve; NaN unless there are labels of both kinds."""
    if labels.all() or not labels.any():
        return math.nan
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def bootstrap(
    frames: Frames, resamples: int, seed: int, advance: Callable[[], None] = lambda: None
) -> dict[str, Interval]:
    """95 % intervals of every figure of `Measures`, by drawing videos with replacement.

    Abnormal and normal videos are drawn separately, because a test set has a fixed number of each.
    """
    rng = np.random.default_rng(seed)
    strata = [np.flatnonzero(frames.abnormal == kind) for kind in (True, False)]
    drawn = []
    for _ in range(resamples):
        picks = np.concatenate([rng.choice(group, len(group)) for group in strata if len(group)])
        drawn.append(frames.measure(np.bincount(picks, minlength=len(frames.abnormal))))
        advance()
    intervals = {}
    for name in Measures.__dataclass_fields__:
        values = np.array([getattr(measures, name) for measures in drawn])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (2.5, 97.5)) if len(values) else (math.nan, math.nan)
        intervals[name] = Interval(float(low), float(high))
    return intervals


def classes_of(protocol: Protocol, name: str) -> tuple[str, ...]:
    """The classes in a video's name: the word before the number (UCF-Crime), everything in `label_` (XD-Violence).

    A normal video of XD-Violence has none, one of UCF-Crime is `Normal`.
    """
    if protocol is Protocol.UCF_CRIME:
        word = re.match(r"[A-Za-z]+", name)
        return (word[0],) if word else ()
    codes = re.search(r"label_([^_]+)", name)
    return tuple(XD_CLASSES[code] for code in codes[1].split("-") if code in XD_CLASSES) if codes else ()


def by_class(protocol: Protocol, videos: Sequence[ScoredVideo]) -> list[ClassAuc]:
    """AUC for each class, by its name; only videos with an anomalous frame belong to a class."""
    normal = [video for video in videos if not video.abnormal]
    groups: dict[str, list[ScoredVideo]] = {}
    for video in videos:
        for name in classes_of(protocol, video.name) if video.abnormal else ():
            groups.setdefault(name, []).append(video)
    return [
        ClassAuc(name, len(group), Frames(group).measure().auc, Frames([*group, *normal]).measure().auc)
        for name, group in sorted(groups.items())
    ]
