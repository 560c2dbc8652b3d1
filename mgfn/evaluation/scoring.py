"""Scores of a video by a head: of the whole video, as in the authors' evaluation, and live, window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from configs.atomic import replacing
from configs.sizes import WINDOW
from mgfn.evaluation.videos import EvaluationError
from mgfn.features import FloatArray
from mgfn.network import Head

LOOK_AHEADS: Final = (0, 1, 2)
# Attention over a whole video needs crops x clips x clips numbers, so long videos pass a few crops at a time.
_ATTENTION_NUMBERS = 1 << 25
_WINDOW_CROPS = 64


@torch.inference_mode()
def video_scores(head: Head, features: FloatArray) -> NDArray[np.float32]:
    """Scores (T,) of a whole video (T, crops, C), with every clip as a position; the mean over crops."""
    clips, crops, _ = features.shape
    together = max(1, _ATTENTION_NUMBERS // clips**2)
    total = torch.zeros(clips)
    for first in range(0, crops, together):
        part = np.array(features[:, first : first + together])  # a copy: the file is mapped read-only
        total += head(torch.from_numpy(part)[None]).scores[0] * part.shape[1]
    return (total / crops).numpy()


@torch.inference_mode()
def causal_scores(
    head: Head, features: FloatArray, look_aheads: Sequence[int] = LOOK_AHEADS, window: int = WINDOW
) -> NDArray[np.float32]:
    """Scores (len(look_aheads), T) of a stream's features (T, crops, C), window by window.

    With look-ahead a, a clip is scored when a more clips have arrived, from the window of at most `window` clips that
    ends with the newest. The stream's last clips are scored at its end. One pass serves all look-aheads.
    """
    x = torch.from_numpy(np.array(features))
    depth = max(look_aheads) + 1
    tails = []  # for each window, the scores of its `depth` newest clips, newest first
    for end in range(1, min(window, len(x) + 1)):
        scores = head(x[None, :end]).scores[:, -depth:].flip(1)
        tails.append(torch.nn.functional.pad(scores, (0, depth - scores.shape[1])))
    if len(x) >= window:
        windows = x.unfold(0, window, 1).permute(0, 3, 1, 2)  # (T - window + 1, window, crops, C)
        for part in windows.split(max(1, _WINDOW_CROPS // x.shape[1])):
            tails.append(head(part).scores[:, -depth:].flip(1))
    tail = torch.cat(tails).numpy()
    clip = np.arange(len(x))
    newest = [np.minimum(clip + ahead, len(x) - 1) for ahead in look_aheads]
    return np.stack([tail[end, end - clip] for end in newest])


def newest_scores(head: Head, features: FloatArray, window: int = WINDOW) -> NDArray[np.float32]:
    """Scores (T,) of a stream's features (T, crops, C), each from the window of at most `window` clips that ends with
    it.
    """
    return causal_scores(head, features, (0,), window)[0]


def check_scores_folder(out: Path, names: Sequence[str]) -> None:
    """Raise EvaluationError for a duplicate name, and if a file that does not contain scores would be replaced.

    Scores of an earlier run may be replaced; features of the same name, or anything else, may not.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EvaluationError(f"FEATURES: {', '.join(twice)} given more than once; --out holds one file for each name")
    if out.exists() and not out.is_dir():
        raise EvaluationError(f"--out {out}: is a file; must be a folder")
    foreign = [name for name in names if (out / name).exists() and not _holds_scores(out / name)]
    if foreign:
        raise EvaluationError(
            f"--out {out}: holds {', '.join(foreign)}, which are not scores (float32, one axis); choose another folder"
        )


def _holds_scores(path: Path) -> bool:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype == np.float32


def write_scores(out: Path, scores: Mapping[str, NDArray[np.float32]]) -> None:
    """Write each array to `out/NAME`, each file completely or not at all."""
    for name, values in scores.items():
        with replacing(out / name) as partial:
            np.save(partial, values)
