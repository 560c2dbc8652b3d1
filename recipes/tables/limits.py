"""What limits the default head: ideas, each compared with the head's own way, by a probe trained with labels of clips.

Only an upper limit: the head itself learns from labels of whole videos. Each idea scores the same composed streams of
the same held-out sources; differences are by bootstrap over sources (`paired`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mgfn.evaluation.scoring import newest_scores
from mgfn.extended import Extended, ExtendedConfig
from mgfn.training.compose import Composer, FloatArray, Mixture, Stream, Take
from mgfn.training.inputs import settle_inputs
from mgfn.training.mil import train
from mgfn.training.probes import ridge, shown
from recipes.default_head.features import extract
from recipes.default_head.takes import UNKNOWN, folds, load_takes
from recipes.default_head.train import CONFIG, SETTINGS
from recipes.tables.paired import Measure, Tally, compare, tally
from recipes.tables.tuning import make_views
from recipes.tables.views import VIEWS

FOLDS = 5
TRAINING_STREAMS = 600
HELD_OUT_STREAMS = 40  # of each fold, with a fight and without
CLIPS = 96
PENALTY = 2.6
SLOPE, OFFSET = 6.0, -4.0  # of a probe's value, as in `add_probes`
TRAINED = Mixture(tampering=0.0, stretch=0.5)
MEASURED = Mixture(tampering=0.0, at_newest_edge=0.0, scene_change=0.03, disturbance=0.0)
ALONE = dataclasses.replace(CONFIG, members=1, probes=0, smoothing=1)
OWN = ("squash",)  # the head's view


@dataclasses.dataclass(frozen=True)
class Idea:
    """`views` are scored as crops of one clip; `also` are only used in training, as if each were another camera.

    A view may belong to a fold: `{fold}` in its name. `overlap`: also trained on the clips in between. `share` of the
    sources are used in training.
    """

    title: str
    cost: str
    views: tuple[str, ...] = OWN
    also: tuple[str, ...] = ()
    overlap: bool = False
    window: int = 32
    smoothing: int = CONFIG.smoothing
    share: float = 1.0


IDEAS = (
    Idea("centre crop", "none", ("center",)),
    Idea("letterbox", "none", ("letterbox",)),
    Idea("half the frame rate (a clip spans 32 frames)", "none", ("slower",)),
    Idea("two squares, at the ends", "2 x backbone", ("ends",)),
    Idea("and mirrored", "2 x backbone", ("squash", "flipped")),
    Idea("and half the frame rate", "2 x backbone", ("squash", "slower")),
    Idea("and a closer look (four fifths)", "2 x backbone", ("squash", "zoomed")),
    Idea("and eight frames earlier (clips overlap by half)", "2 x backbone", ("squash", "shifted")),
    Idea("the largest value over 7 x 7 places, not their mean", "none", ("places",)),
    Idea("the backbone's last stage tuned, labels by clip", "none", ("tuned-{fold}",)),
    Idea("learns from clips that overlap by half (as the head does)", "none", overlap=True),
    Idea("learns from mirrored cameras too", "none", also=("flipped",)),
    Idea("learns from closer cameras too", "none", also=("zoomed",)),
    Idea("learns from mirrored and closer cameras too", "none", also=("flipped", "zoomed")),
    Idea("a scene of 8 clips", "none", window=8),
    Idea("a scene of 96 clips", "none", window=96),
    Idea("mean over 1 clip", "earlier by 0.6 s", smoothing=1),
    Idea("mean over 5 clips", "later by 0.6 s", smoothing=5),
    Idea("learns from half of the sources", "", share=0.5),
    Idea("learns from a quarter of the sources", "", share=0.25),
)


TakesOf = Callable[[str, bool], list[Take]]
Scorer = Callable[[FloatArray], NDArray[np.floating]]
Learner = Callable[[Sequence[Take], Idea, int], Scorer]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A ridge probe alone: scores like the default head, the newest clip of a filling window."""

    head: Extended
    slopes: FloatArray
    intercept: float
    window: int
    smoothing: int

    def scores(self, features: FloatArray) -> NDArray[np.float64]:
        """(T, crops, C) -> (T,), each with at most `window` clips behind it; the mean over the last `smoothing`."""
        x = np.sqrt(features)
        weights = self.slopes / self.head.feature_deviation.numpy()
        mean, prior = self.head.feature_mean.numpy(), ALONE.scene_prior
        total = np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)])
        end = np.arange(1, len(x) + 1)
        begin = np.maximum(0, end - self.window)
        scene = (total[end] - total[begin] + prior * mean) / (end - begin + prior)[:, None, None]  # (T, crops, C)
        value, of_scene = x @ weights, scene @ weights
        back = np.maximum(end[:, None] - 1 - np.arange(self.smoothing), begin[:, None])  # (T, smoothing)
        logits = SLOPE * (value[back] - of_scene[:, None] + self.intercept) + OFFSET
        return np.asarray((1 / (1 + np.exp(-logits))).mean(axis=(1, 2)), np.float64)


def probe(takes: Sequence[Take], idea: Idea, seed: int) -> Scorer:
    """Trained with the label of every clip of composed streams."""
    composer = Composer(takes, TRAINED, np.random.default_rng(seed))
    head = Extended(of_channels(ALONE, takes[0].features.shape[-1]))
    ordinary = [composer.stream(32, False).features for _ in range(200)]
    settle_inputs(head, lambda: ordinary)
    # as `fit_probe`: every other pair is a window that fills up
    lengths = [32 if i % 4 < 2 else 1 + i % 31 for i in range(TRAINING_STREAMS)]
    streams = [composer.stream(length, bool(i % 2)) for i, length in enumerate(lengths)]
    x = torch.cat([shown(head, stream.features).flatten(0, 1) for stream in streams])
    y = np.concatenate([stream.labels.repeat(stream.features.shape[1]) for stream in streams])
    slopes, intercept = ridge(x, torch.from_numpy(y).double(), PENALTY)
    return Probe(head, slopes.float().numpy(), float(intercept), idea.window, idea.smoothing).scores


def of_channels(config: ExtendedConfig, channels: int) -> ExtendedConfig:
    """The configuration for features of so many channels."""
    return dataclasses.replace(config, network=dataclasses.replace(config.network, channels=channels))


def recipe(takes: Sequence[Take], idea: Idea, seed: int) -> Scorer:
    """The default head's recipe with one member, trained with labels of whole videos, on fights only."""
    config = dataclasses.replace(of_channels(CONFIG, takes[0].features.shape[-1]), members=1, probes=1)
    composer = Composer(takes, TRAINED, np.random.default_rng(seed))
    head = train(dataclasses.replace(config, smoothing=idea.smoothing), composer, SETTINGS, seed)
    return functools.partial(newest_scores, head, window=idea.window)


def run(idea: Idea, takes_of: TakesOf, learner: Learner) -> tuple[list[Stream], list[NDArray[np.floating]]]:
    """Every fold's held-out streams, the same ones for every idea, and their scores."""
    streams: list[Stream] = []
    scores: list[NDArray[np.floating]] = []
    for fold, held_out in enumerate(folds(takes_of(OWN[0], False), FOLDS)):
        learnt, unseen = (
            side_by_side([takes_of(view.format(fold=fold), overlap) for view in idea.views])
            for overlap in (idea.overlap, False)
        )
        for view in idea.also:
            learnt += [dataclasses.replace(t, source=f"{t.source}, {view}") for t in takes_of(view, False)]
        learnt = [take for take in learnt if take.source.split(",")[0] not in held_out]
        score = learner(fewer(learnt, idea.share, fold), idea, fold)
        unseen = [take for take in unseen if take.source in held_out]
        composer = Composer(unseen, MEASURED, np.random.default_rng([fold, 1]))
        composed = [composer.stream(CLIPS, bool(i % 2)) for i in range(2 * HELD_OUT_STREAMS)]
        streams += composed
        scores += [score(stream.features) for stream in composed]
    return streams, scores


def side_by_side(views: Sequence[Sequence[Take]]) -> list[Take]:
    """Takes of the same clips in several views, as crops."""
    return [
        dataclasses.replace(takes[0], features=np.concatenate([take.features for take in takes], axis=1))
        for takes in zip(*views, strict=True)
    ]


def fewer(takes: Sequence[Take], share: float, seed: int) -> list[Take]:
    """Takes of a random share of the fights' sources; other recordings all stay."""
    known = sorted({take.source for take in takes if take.source != UNKNOWN and "recording-" not in take.source})
    dropped = set(np.random.default_rng(seed).permutation(known)[round(share * len(known)) :])
    return [take for take in takes if take.source not in dropped]


def limits(data: Path, cache: Path, graph: Path | None = None) -> list[str]:
    """Ideas by the probe; then, by the recipe, the threshold for each camera. Views are computed once."""
    extract(data, cache, list(VIEWS), graph, VIEWS)
    make_views(data, cache, folds(load_takes(data, cache, ["squash-plain"]), FOLDS), graph or cache / "i3d.onnx")
    return [*compared(data, cache, IDEAS, probe), "", *compared(data, cache, (), recipe)]


def compared(data: Path, cache: Path, ideas: Sequence[Idea], learner: Learner) -> list[str]:
    """A line for each idea."""

    @functools.cache
    def takes_of(view: str, overlap: bool) -> list[Take]:
        return load_takes(data, cache, [f"{view}-plain"], overlap)

    def counted(idea: Idea) -> Tally:
        return tally(*run(idea, takes_of, learner))

    own = counted(Idea("", ""))
    sources = len(own.seconds)

    def line(title: str, cost: str, auc: Measure, found: Measure) -> str:
        cells = compare(auc, own.auc, sources), compare(found, own.share_found, sources)
        text = f"| {title} | {cells[0]} | {cells[1]} | {cost} |"
        print(text, flush=True)
        return text

    lines = [
        "| idea | clip AUC, difference (95 %) | fights found, difference (95 %) | cost |",
        "|---|---|---|---|",
        line("the head's way", "", own.auc, own.share_found),
        line("a threshold for each camera, chosen on these streams", "none", own.auc, own.share_found_apart),
    ]
    for idea in ideas:
        of_idea = counted(idea)
        lines.append(line(idea.title, idea.cost, of_idea.auc, of_idea.share_found))
    missed, false = (np.sort(counts)[::-1] for counts in own.by_source())
    return [
        *lines,
        "",
        f"Of {false.sum():.0f} false crossings {false[:3].sum():.0f} are of three sources, of {missed.sum():.0f} "
        f"fights missed {missed[:5].sum():.0f} of five, of {sources} sources in all.",
    ]
