"""Latency-aware average precision: average precision that rewards an early alarm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mgfn.truth import BoolArray

HALF_LIFE: Final = 10.0  # seconds


def latency_aware_ap(
    labels: Sequence[BoolArray], scores: Sequence[NDArray[np.float32]], seconds: float, look_ahead: int = 0
) -> float:
    """LaAP of videos: for each, labels (T,) and scores (T,) of clips that last `seconds`. NaN without an incident.

    After Liu et al., "Rethinking Metrics and Benchmarks of Video Anomaly Detection" (arXiv 2505.19022, 2025): the area
    under precision over latency-aware recall, in which an incident found late counts less. Only descriptions of the
    measure were at hand, not its formula, so the following is our reading and figures are not comparable with published
    ones. At each threshold,

    - precision is the share of the clips at or above it that are anomalous, as in average precision;
    - recall is the mean credit of all incidents: 0.5 ** (delay / HALF_LIFE), with the delay from the incident's first
      clip to its first clip at or above the threshold, plus the look-ahead; 0 if there is none.

    The area is the sum of steps, as in average precision. A detector that is right from the first clip on has 1.
    """
    gains: list[tuple[float, float]] = []  # score at which an incident's credit grows, and by how much
    incidents = 0
    for marked, values in zip(labels, scores, strict=True):
        edges = np.flatnonzero(np.diff(np.r_[False, marked, False].astype(int)))
        for first, past in zip(edges[::2], edges[1::2], strict=True):
            incidents += 1
            gains += _gains(values[first:past], seconds, look_ahead)
    if not incidents:
        return math.nan
    every, anomalous = np.concatenate(list(scores)), np.concatenate(list(labels))
    order = np.argsort(-every, kind="stable")
    falling = -every[order]
    hits = np.r_[0, np.cumsum(anomalous[order])]
    area = 0.0
    for score, gain in gains:
        above = int(np.searchsorted(falling, -score, side="right"))
        area += gain * float(hits[above]) / above
    return area / incidents


def _gains(values: NDArray[np.float32], seconds: float, look_ahead: int) -> list[tuple[float, float]]:
    """How the credit of an incident with these scores grows while the threshold falls."""
    found: list[tuple[float, float]] = []
    credit = 0.0
    highest_before = np.r_[-np.inf, np.maximum.accumulate(values)[:-1]]
    for clip in np.flatnonzero(values > highest_before)[::-1]:  # the first clip at or above some threshold
        reached = 0.5 ** ((clip + look_ahead) * seconds / HALF_LIFE)
        found.append((float(values[clip]), reached - credit))
        credit = reached
    return found
