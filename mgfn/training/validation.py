"""Evaluates a head on held-out videos: AUC and average precision, by frame if there is a ground truth, else by
video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from mgfn.features import read_features
from mgfn.network import Head
from mgfn.training.config import ProblemsError
from mgfn.training.dataset import LabelledVideo
from mgfn.training.segments import Segments
from mgfn.truth import BoolArray, TruthError, clip_of_frame, read_truth

_LONG = 1024  # clips; attention over more is computed one crop at a time


@dataclass(frozen=True)
class Metrics:
    """Areas under the ROC curve and average precision, in [0, 1]; `by` frame or video, over `videos` videos."""

    auc: float
    ap: float
    by: str
    videos: int


def read_frames(path: Path, videos: Sequence[LabelledVideo]) -> dict[str, BoolArray]:
    """The anomalous frames of each video, (frames,) by name. Raises ProblemsError (see `mgfn.truth`)."""
    clips = {video.name: video.clips for video in videos}
    try:
        return dict(zip(clips, read_truth(path, clips).labels, strict=True))
    except TruthError as error:
        raise ProblemsError([str(error)]) from None


@torch.no_grad()
def validate(
    head: Head,
    videos: Sequence[LabelledVideo],
    truth: Mapping[str, BoolArray] | None,
    segments: Segments,
    device: torch.device,
    top_k: int,
) -> Metrics:
    """Metrics of a head; its mode is restored.

    With a ground truth, every clip of a video is a position, and its score counts for 16 frames. Without one, a video's
    score is the mean of the `top_k` highest of its parts. Scores are averaged over crops, and over files of one crop
    each.
    """
    training = head.training
    head.eval()
    labels: list[BoolArray] = []
    scores: list[NDArray[np.float32]] = []
    for video in videos:
        if truth is None:
            found = np.mean([_scores(head, segments.load(file), device) for file in video.files], axis=0)
            scores.append(np.sort(found)[-top_k:].mean(keepdims=True))
            labels.append(np.array([video.abnormal]))
        else:
            # all crops at once, as in mgfn-eval: rounding differs otherwise, and equal scores would be ordered
            # differently
            whole = np.concatenate([read_features(file) for file in video.files], axis=1)
            found = _scores(head, whole, device)
            labels.append(truth[video.name])
            scores.append(found[clip_of_frame(len(labels[-1]), len(found))])
    head.train(training)
    y, s = np.concatenate(labels), np.concatenate(scores)
    by = "video" if truth is None else "frame"
    return Metrics(float(roc_auc_score(y, s)), float(average_precision_score(y, s)), by, len(videos))


def _scores(head: Head, features: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """(T, crops, C) -> (T,)."""
    if len(features) <= _LONG:
        x = torch.from_numpy(np.array(features))[None].to(device)
        return head(x).scores[0].float().cpu().numpy()
    crops = [_scores_of_crop(head, features[:, crop : crop + 1], device) for crop in range(features.shape[1])]
    return np.mean(crops, axis=0)


def _scores_of_crop(head: Head, features: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    return head(torch.from_numpy(np.array(features))[None].to(device)).scores[0].float().cpu().numpy()
