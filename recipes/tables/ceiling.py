"""What labels of single clips achieve on the same features, folds and streams: the upper limit for labels of videos."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from torch.nn import functional

from mgfn.evaluation.scoring import LOOK_AHEADS
from mgfn.extended import Extended, ExtendedConfig
from mgfn.losses import mean_logit
from mgfn.network import Head
from mgfn.paper import PaperConfig
from mgfn.training.inputs import settle_inputs
from mgfn.training.loop import batch_of
from recipes.tables.data import Fold
from recipes.tables.methods import STEPS, VIDEOS
from recipes.tables.runs import Scores, scored

FloatArray = NDArray[np.float32]
PENALTY = 3000.0
SCENE_CLIPS = 32
SCENE_PRIOR = 4.0  # number of clips as which the training mean counts, as in the default head


def ridge(fold: Fold, seed: int, relative: bool) -> Scores:
    """A ridge probe on square roots of single clips' features; `relative`: minus the mean of the window so far.

    It is linear, so nothing in it depends on `seed`.
    """
    del seed
    normal = np.concatenate([s.features[:, 0] for s in fold.streams if not s.labels.any()])
    prior = np.sqrt(normal).mean(axis=0)

    def seen(features: FloatArray) -> FloatArray:
        x = np.sqrt(features[:, 0])
        return x - _scene(x, prior) if relative else x

    x = np.concatenate([seen(stream.features) for stream in fold.streams])
    y = np.concatenate([stream.labels for stream in fold.streams])
    deviation = x.std(axis=0) + 0.1 * x.std(axis=0).mean()
    weights = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    probe = Ridge(PENALTY).fit(x / deviation, y, sample_weight=weights)
    scores = np.stack([probe.predict(seen(s.features) / deviation) for s in fold.held_out]).astype(np.float32)
    return Scores(scores, np.repeat(scores[None], len(LOOK_AHEADS), axis=0))


def _scene(x: FloatArray, prior: FloatArray) -> FloatArray:
    """Mean of the last clips up to each one, with the training mean: (T, C)."""
    total = np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)])
    end = np.arange(1, len(x) + 1)
    begin = np.maximum(0, end - SCENE_CLIPS)
    return np.asarray((total[end] - total[begin] + SCENE_PRIOR * prior) / (end - begin + SCENE_PRIOR)[:, None])


def mgfn(fold: Fold, seed: int) -> Scores:
    """The network of small-data.yaml with cross-entropy on every clip of windows of 32, with equal weight for both
    labels.
    """
    torch.manual_seed(seed)
    head = Extended(ExtendedConfig(PaperConfig(1024))).train()
    settle_inputs(head, lambda: (stream.features for stream in fold.streams if not stream.labels.any()))
    optimizer = torch.optim.Adam(head.parameters(), 1e-3, weight_decay=5e-4)
    rng = np.random.default_rng(seed)
    groups = [[s for s in fold.streams if s.labels.any() == abnormal] for abnormal in (False, True)]
    for step in range(STEPS):
        features, labels = [], []
        for index, group in enumerate(groups):
            for place in batch_of(len(group), VIDEOS, step, seed, index):
                begin = int(rng.integers(len(group[place].labels) - SCENE_CLIPS + 1))
                features.append(group[place].features[begin : begin + SCENE_CLIPS])
                labels.append(group[place].labels[begin : begin + SCENE_CLIPS])
        y = torch.from_numpy(np.stack(labels)).float()
        weights = torch.where(y > 0, 0.5 / y.mean().clamp_min(1e-3), 0.5 / (1 - y.mean()))
        logits = mean_logit(head(torch.from_numpy(np.stack(features))).logits, 1)  # (N, T)
        loss = functional.binary_cross_entropy_with_logits(logits, y, weight=weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    trained: Head = head.eval()
    return scored(trained, fold.held_out)


CEILINGS: dict[str, Callable[[Fold, int], Scores]] = {
    "ridge probe, single clips": lambda fold, seed: ridge(fold, seed, relative=False),
    "ridge probe, less the scene's mean": lambda fold, seed: ridge(fold, seed, relative=True),
    "MGFN, labels by clip": mgfn,
}
