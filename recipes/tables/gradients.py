"""How strongly each term of the paper's loss pulls at the start: norms of its gradient before the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from mgfn.training.config import TrainConfig
from mgfn.training.loop import batch_of
from mgfn.training.objective import loss_terms
from mgfn.training.segments import Segments, prepare
from recipes.tables.data import Fold
from recipes.tables.methods import PAIRS


def gradients(folds: Sequence[Fold]) -> list[str]:
    """A table: lowest and highest norm of each weighted term, seed s on the first batch of fold s."""
    rows = {}
    for method in PAIRS:
        runs = [norms(method.config(seed), fold, seed) for seed, fold in enumerate(folds)]
        rows[method.title] = {term: [run[term] for run in runs] for term in runs[0]}
    terms = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(terms) + " |", "|---" * (len(terms) + 1) + "|"]
    for title, found in rows.items():
        lines.append(f"| {title} | " + " | ".join(f"{min(n):.3g} to {max(n):.3g}" for n in found.values()) + " |")
    return lines


def norms(config: TrainConfig, fold: Fold, seed: int) -> Mapping[str, float]:
    """The L2 norm over all parameters of the gradient of each term, as it counts in the sum."""
    segments = Segments(fold.folder / "segments", parts=32)
    _, channels = prepare(fold.videos, segments, None, lambda *_: None)
    groups = [[v.files[0] for v in fold.videos if v.abnormal is abnormal] for abnormal in (False, True)]
    batch = [
        segments.load(files[index])
        for group, files in enumerate(groups)
        for index in batch_of(len(files), config.videos, 0, seed, group)
    ]
    torch.manual_seed(seed)
    head = config.network.build(channels).train()
    parameters = list(head.parameters())
    found = {}
    for name, term in loss_terms(head(torch.from_numpy(np.stack(batch))), config.loss).items():
        parts = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
        found[name] = float(torch.cat([part.flatten() for part in parts if part is not None]).norm())
    return found
