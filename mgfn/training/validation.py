"""How good a head is on held-out videos: AUC and average precision, by frame where there is a truth, else by video."""

from __future__ import annotations

import json
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
from mgfn.training.dataset import Video
from mgfn.training.segments import CLIP_FRAMES, Segments

BoolArray = NDArray[np.bool_]
_LONG = 1024  # clips; attention over more is done one crop at a time


@dataclass(frozen=True)
class Metrics:
    """Areas under the ROC curve and average precision, in [0, 1]; `by` frame or video, over `videos` videos."""

    auc: float
    ap: float
    by: str
    videos: int


def read_truth(path: Path, videos: Sequence[Video]) -> dict[str, BoolArray]:
    """Which frames of each video are anomalous, (clips * 16,) by name.

    A `.json` holds `{name: {"frames": n, "anomalous": [[first, past-last], ...]}}`; its frames may differ from the
    features' by less than one clip. A `.npy` holds the frames of all videos one after the other, in the list's order.
    Raises ProblemsError that name both lengths where they disagree.
    """
    lengths = {video.name: len(read_features(video.files[0])) * CLIP_FRAMES for video in videos}
    try:
        if path.suffix == ".json":
            return _intervals(path, json.loads(path.read_text(encoding="utf-8")), lengths)
        flat = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ProblemsError([f"--ground-truth {path}: not a readable .json or .npy file ({error})"]) from None
    total = sum(lengths.values())
    if not isinstance(flat, np.ndarray) or flat.shape != (total,):
        shape = getattr(flat, "shape", None)
        raise ProblemsError([f"--ground-truth {path}: shape {shape}, but the test features have {total} frames"])
    if not np.isin(flat, (0, 1)).all():
        raise ProblemsError([f"--ground-truth {path}: holds other values than 0 and 1"])
    parts = np.split(flat.astype(bool), np.cumsum(list(lengths.values()))[:-1])
    return dict(zip(lengths, parts, strict=True))


def _intervals(path: Path, found: object, lengths: Mapping[str, int]) -> dict[str, BoolArray]:
    truth: dict[str, BoolArray] = {}
    problems = []
    for name, frames in lengths.items():
        entry = found.get(name) if isinstance(found, dict) else None
        if entry is None:
            problems.append(f"--ground-truth {path}: has no video {name}")
            continue
        try:
            stated, spans = int(entry["frames"]), [(int(first), int(end)) for first, end in entry["anomalous"]]
        except (KeyError, TypeError, ValueError):
            problems.append(f"--ground-truth {path}: {name}: expected frames and intervals [first, past-last)")
            continue
        if abs(stated - frames) >= CLIP_FRAMES:
            problems.append(f"--ground-truth {path}: {name} has {stated} frames, its features {frames}")
        truth[name] = np.zeros(frames, bool)
        for first, end in spans:
            truth[name][first:end] = True
    if problems:
        raise ProblemsError(problems)
    return truth


@torch.no_grad()
def validate(
    head: Head,
    videos: Sequence[Video],
    truth: Mapping[str, BoolArray] | None,
    segments: Segments,
    device: torch.device,
    top_k: int,
) -> Metrics:
    """Metrics of a head, which is left in the mode it was in.

    With a truth every clip of a video is a position and its score counts for 16 frames. Without, a video's score is
    the mean of the `top_k` highest of its parts. Scores are averaged over crops, and over files of one crop each.
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
            found = np.mean([_scores(head, read_features(file), device) for file in video.files], axis=0)
            scores.append(found.repeat(CLIP_FRAMES))
            labels.append(truth[video.name])
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
