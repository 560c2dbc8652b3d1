"""Compares two ways of scoring the same streams by bootstrap over sources: the difference and its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgfn.training.compose import Stream
from mgfn.training.streaming import count_alarms

FloatArray = NDArray[np.float64]
THRESHOLDS = 200  # close together at the top, where alarms are
DRAWS = 2000
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Tally:
    """Counts by source and threshold, highest first, (sources, THRESHOLDS); without a threshold, by source."""

    hits: FloatArray  # clips of incidents at or above it, in streams with an incident
    alarms: FloatArray  # ordinary clips at or above it, in the same streams
    positives: FloatArray
    negatives: FloatArray
    found: FloatArray
    incidents: FloatArray
    crossings: FloatArray  # false ones, in all streams
    seconds: FloatArray  # ordinary

    def auc(self, weights: FloatArray) -> FloatArray:
        """Clip AUC of streams with an incident; each source counts `weights` (draws, sources) times: (draws,)."""
        edge = np.zeros((len(weights), 1))
        x = weights @ self.alarms / (weights @ self.negatives)[:, None]
        y = weights @ self.hits / (weights @ self.positives)[:, None]
        return np.asarray(np.trapezoid(np.hstack([edge, y, edge + 1]), np.hstack([edge, x, edge + 1]), axis=1))

    def share_found(self, weights: FloatArray) -> FloatArray:
        """The share of incidents found at the lowest threshold with at most one crossing in three minutes."""
        crossings, seconds = weights @ self.crossings, weights @ self.seconds
        found = _at_rate(weights @ self.found, crossings, seconds)
        return np.asarray(found / (weights @ self.incidents))

    def by_source(self) -> tuple[FloatArray, FloatArray]:
        """Missed incidents and false crossings by source, (sources,) each, at the one threshold of `share_found`."""
        crossings, seconds = self.crossings.sum(axis=0), self.seconds.sum()[None]
        at = [_at_rate(counts[None], crossings[None], seconds)[0] for counts in (*self.found, *self.crossings)]
        found, false = np.split(np.array(at), 2)
        return self.incidents - found, false

    def share_found_apart(self, weights: FloatArray) -> FloatArray:
        """The same with a threshold for each source, which its own streams do not cross more often."""
        found = _at_rate(self.found, self.crossings, self.seconds)
        return np.asarray(weights @ found / (weights @ self.incidents))


def _at_rate(found: FloatArray, crossings: FloatArray, seconds: FloatArray) -> FloatArray:
    """For each row, the count at the lowest threshold from which crossings are at most one in three minutes."""
    too_many = np.hstack([180 * crossings / seconds[:, None] > 1, np.ones((len(seconds), 1), bool)])
    lowest = np.maximum(too_many.argmax(axis=1) - 1, 0)
    return np.asarray(found[np.arange(len(found)), lowest])


def tally(streams: Sequence[Stream], scores: Sequence[NDArray[np.floating]]) -> Tally:
    """Count at quantiles of the scores; sources are in the order of their names."""
    values = np.concatenate(list(scores))
    thresholds = np.quantile(values, 1 - np.linspace(0, 1, THRESHOLDS) ** 2)
    names = sorted({stream.source for stream in streams})
    tables = {name: np.zeros((len(names), THRESHOLDS)) for name in ("hits", "alarms", "found", "crossings")}
    totals = {name: np.zeros(len(names)) for name in ("positives", "negatives", "incidents", "seconds")}
    for stream, score in zip(streams, scores, strict=True):
        row = names.index(stream.source)
        counted = [count_alarms([stream], [score], float(threshold)) for threshold in thresholds]
        tables["found"][row] += [at.found for at in counted]
        tables["crossings"][row] += [at.false_alarms for at in counted]
        totals["incidents"][row] += counted[0].incidents
        totals["seconds"][row] += counted[0].ordinary_seconds
        if stream.anomalous:
            above = score[None] >= thresholds[:, None]
            tables["hits"][row] += above[:, stream.labels].sum(axis=1)
            tables["alarms"][row] += above[:, ~stream.labels].sum(axis=1)
            totals["positives"][row] += stream.labels.sum()
            totals["negatives"][row] += (~stream.labels).sum()
    return Tally(**tables, **totals)


@dataclass(frozen=True)
class Difference:
    """For a measure: its value, the difference from the other one, and the interval of the difference."""

    value: float
    more: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f}, {self.more:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


Measure = Callable[[FloatArray], FloatArray]


def compare(this: Measure, other: Measure, sources: int, seed: int = 0) -> Difference:
    """Compare a measure with another one on the same streams, by drawing their `sources` with replacement."""
    once = np.ones((1, sources))
    drawn = np.random.default_rng(seed).multinomial(sources, np.full(sources, 1 / sources), DRAWS).astype(float)
    low, high = np.percentile(this(drawn) - other(drawn), INTERVAL)
    value = float(this(once)[0])
    return Difference(value, value - float(other(once)[0]), float(low), float(high))
