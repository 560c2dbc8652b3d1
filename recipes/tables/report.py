"""Converts scores of all runs of a table to Markdown: mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from configs.sizes import CLIP_LENGTH
from mgfn.evaluation.live import LiveFigures, live_figures, poisson_bound
from mgfn.evaluation.metrics import ScoredVideo
from mgfn.training.compose import Stream
from mgfn.training.streaming import CLIP_SECONDS, threshold_for
from recipes.tables.runs import Scores

Runs = Mapping[tuple[int, int], Scores]  # by (fold, seed)
FRAMES_PER_SECOND = CLIP_LENGTH / CLIP_SECONDS
FALSE_ALARMS_PER_THREE_MINUTES = 1.0


def table(rows: Mapping[str, Runs], held_out: Mapping[int, Sequence[Stream]]) -> list[str]:
    """A line for each method: AUC and AP of whole streams, AUC as live; the figure of a seed is its mean over folds."""
    lines = [
        "| | AUC | AP | AUC, live | lowest, highest AUC of a run | runs |",
        "|---|---|---|---|---|---|",
    ]
    for title, runs in rows.items():
        cells = [by_seed(runs, held_out, measure) for measure in (auc_whole, ap_whole, auc_live)]
        of_runs = [auc_whole(scores, held_out[fold]) for (fold, _), scores in runs.items()]
        texts = [f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in cells]
        lines.append(f"| {title} | {' | '.join(texts)} | {min(of_runs):.2f}, {max(of_runs):.2f} | {len(of_runs)} |")
    return lines


def by_seed(
    runs: Runs, held_out: Mapping[int, Sequence[Stream]], measure: Callable[[Scores, Sequence[Stream]], float]
) -> list[float]:
    """Each seed's mean over its folds."""
    seeds = sorted({seed for _, seed in runs})
    return [float(np.mean([measure(s, held_out[f]) for (f, of), s in runs.items() if of == seed])) for seed in seeds]


def auc_whole(scores: Scores, streams: Sequence[Stream]) -> float:
    return float(roc_auc_score(labels_of(streams), scores.whole.ravel()))


def ap_whole(scores: Scores, streams: Sequence[Stream]) -> float:
    return float(average_precision_score(labels_of(streams), scores.whole.ravel()))


def auc_live(scores: Scores, streams: Sequence[Stream]) -> float:
    return float(roc_auc_score(labels_of(streams), scores.live[0].ravel()))


def labels_of(streams: Sequence[Stream]) -> NDArray[np.bool_]:
    return np.concatenate([stream.labels for stream in streams])


def streaming(
    title: str, runs: Runs, held_out: Mapping[int, Sequence[Stream]], rate: float = FALSE_ALARMS_PER_THREE_MINUTES
) -> list[str]:
    """What a live user would get, by look-ahead; counts are sums over folds and seeds.

    The threshold of a fold is the one at which the streams of the *other* folds cross `rate` times in three minutes.
    """
    lines = [
        f"**{title}**",
        "",
        "| look-ahead, clips | AUC | AP | found | median delay, s | false alarms per hour (95 % bound) | in alarm |",
        "|---|---|---|---|---|---|---|",
    ]
    for look_ahead in range(3):
        figures = [live(runs, held_out, look_ahead, fold, seed, rate) for fold, seed in runs]
        found, incidents = sum(f.found for f in figures), sum(f.incidents for f in figures)
        hours, false_alarms = sum(f.ordinary_hours for f in figures), sum(f.false_alarms for f in figures)
        passes = len(runs) / len({fold for fold, _ in runs})  # the bound is for every stream seen once
        bound = poisson_bound(round(false_alarms / passes)) / (hours / passes)
        delays = [delay for f in figures for delay in f.delays]
        in_alarm = sum(f.time_in_alarm * f.ordinary_hours for f in figures) / hours
        lines.append(
            f"| {look_ahead} | {np.mean([f.auc for f in figures]):.3f} | "
            f"{np.mean([f.average_precision for f in figures]):.3f} | {found / incidents:.2f} | "
            f"{np.median(delays):.2f} | {false_alarms / hours:.1f} ({bound:.1f}) | {100 * in_alarm:.1f} % |"
        )
    return lines


def live(
    runs: Runs, held_out: Mapping[int, Sequence[Stream]], look_ahead: int, fold: int, seed: int, rate: float
) -> LiveFigures:
    """Figures of one run at the threshold determined by the runs on other folds."""
    others = [(f, of) for f, of in runs if f != fold]
    streams = [stream for f, _ in others for stream in held_out[f]]
    scores = [row for other in others for row in runs[other].live[look_ahead]]
    threshold = threshold_for(streams, scores, rate)
    videos = [
        ScoredVideo(f"{index}", row, stream.labels.repeat(16))
        for index, (row, stream) in enumerate(zip(runs[fold, seed].live[look_ahead], held_out[fold], strict=True))
    ]
    return live_figures(videos, look_ahead, threshold, FRAMES_PER_SECOND)
