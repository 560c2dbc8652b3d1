"""Train the default head: recordings -> features -> source-disjoint cross-validation -> thresholds -> head.

Run from the project's root: python -m recipes.default_head.train
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import platformdirs
import torch
from rich.console import Console
from rich.table import Table

from mgfn.checkpoint import save_head
from mgfn.network import Mgfn, MgfnConfig
from mgfn.training.compose import Composer, Mixture, Stream, Take
from mgfn.training.mil import MilSettings, train
from mgfn.training.streaming import Alarms, clip_auc, count_alarms, newest_scores, threshold_for
from recipes.default_head.features import extract
from recipes.default_head.takes import folds, load_takes

GEOMETRY = "squash"
TRAIN_ON = ("squash-plain", "squash-tampered", "squash-harmless", "squash-degraded")
MEASURE_ON = TRAIN_ON[:3]
FOLDS = 5
FALSE_ALARMS_PER_THREE_MINUTES = 1.0
THRESHOLD_ON, THRESHOLD_OFF = 0.6, 0.45
CONFIG = dataclasses.replace(MgfnConfig.paper(1024), standardise=True, dropout=0.5)
SETTINGS = MilSettings()
MIXTURE = Mixture()
PROVENANCE = (
    "trained by mgfn-stream on composed streams of the Surveillance Camera Fight Dataset (Akti et al. 2019, MIT), "
    "Intel IoT DevKit sample videos (CC BY 4.0) and bgslibrary videos (MIT), with rendered camera tampering; "
    "video-level labels only"
)


@dataclasses.dataclass
class Measured:
    """Held-out streams and their scores, gathered over folds."""

    fights: list[Stream] = dataclasses.field(default_factory=list)
    tampering: list[Stream] = dataclasses.field(default_factory=list)
    ordinary: list[Stream] = dataclasses.field(default_factory=list)
    scores: dict[str, list[np.ndarray]] = dataclasses.field(
        default_factory=lambda: {"fights": [], "tampering": [], "ordinary": []}
    )

    def add(self, heads: Sequence[Mgfn], takes: Sequence[Take], seed: int, streams: int, length: int) -> None:
        """Compose streams of held-out takes and score them as live: newest clip, mean over `heads`."""
        for index, (kind, tampering, anomalous) in enumerate(
            (("fights", 0.0, True), ("tampering", 1.0, True), ("ordinary", 0.0, False))
        ):
            mixture = dataclasses.replace(MIXTURE, at_newest_edge=0.0, tampering=tampering)
            composer = Composer(takes, mixture, np.random.default_rng([seed, index]))
            composed = [composer.stream(length, anomalous) for _ in range(streams)]
            getattr(self, kind).extend(composed)
            for stream in composed:
                rows = [newest_scores(head, stream.features) for head in heads]
                self.scores[kind].append(np.mean(rows, axis=0))

    def both(self, *kinds: str) -> tuple[list[Stream], list[np.ndarray]]:
        streams = [stream for kind in kinds for stream in getattr(self, kind)]
        return streams, [score for kind in kinds for score in self.scores[kind]]

    def auc(self, *kinds: str) -> float:
        return clip_auc(*self.both(*kinds))

    def alarms(self, threshold: float, *kinds: str) -> Alarms:
        return count_alarms(*self.both(*kinds), threshold)


def cross_validate(
    takes: Sequence[Take], measured_takes: Sequence[Take], seed: int, config: MgfnConfig, settings: MilSettings
) -> Measured:
    """Train on all folds but one, measure on that one, for each."""
    measured = Measured()
    for index, held_out in enumerate(folds(takes, FOLDS)):
        composer = Composer(
            [t for t in takes if t.source not in held_out], MIXTURE, np.random.default_rng([seed, index])
        )
        head = train(config, composer, settings, seed * FOLDS + index)
        # the same held-out streams for every seed and recipe
        measured.add([head], [t for t in measured_takes if t.source in held_out], index, streams=40, length=96)
    return measured


def logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


@torch.no_grad()
def calibrate(head: Mgfn, threshold: float, spread: float) -> None:
    """Stretch and shift the head's logits so that what scored `threshold` now scores THRESHOLD_ON.

    The order of scores stays; `spread`, a deviation of logits, becomes two: scores use the whole range.
    """
    scale = 2.0 / spread
    head.fc.weight.mul_(scale)
    head.fc.bias.copy_((head.fc.bias - logit(threshold)) * scale + logit(THRESHOLD_ON))


def report(rows: Sequence[Measured]) -> dict[str, str]:
    """Print one line a measure, mean and spread over seeds; return them as texts."""
    thresholds = [
        threshold_for(*m.both("fights", "tampering", "ordinary"), FALSE_ALARMS_PER_THREE_MINUTES) for m in rows
    ]
    table: dict[str, list[float]] = {
        "clip AUC, fights": [m.auc("fights") for m in rows],
        "clip AUC, tampering": [m.auc("tampering") for m in rows],
        "clip AUC, all streams": [m.auc("fights", "tampering", "ordinary") for m in rows],
        f"threshold at {FALSE_ALARMS_PER_THREE_MINUTES} false alarms in 3 min": thresholds,
    }
    for kind in ("fights", "tampering"):
        alarms = [m.alarms(t, kind) for m, t in zip(rows, thresholds, strict=True)]
        table[f"share of {kind} found there"] = [a.found / a.incidents for a in alarms]
        table[f"median delay, {kind}, s"] = [float(np.median(a.delays)) if a.delays else float("nan") for a in alarms]
    texts = {name: f"{np.mean(values):.3f} ± {np.std(values):.3f}" for name, values in table.items()}
    shown = Table("measure", f"mean ± spread over {len(rows)} seeds")
    for name, text in texts.items():
        shown.add_row(name, text)
    Console().print(shown)
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head")
    parser.add_argument("--out", type=Path, default=root / "configs" / "heads" / "default.safetensors")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(2)
    extract(given.data, given.cache, list(TRAIN_ON))
    takes = load_takes(given.data, given.cache, TRAIN_ON)
    measured_takes = load_takes(given.data, given.cache, MEASURE_ON)
    rows = [cross_validate(takes, measured_takes, seed, CONFIG, SETTINGS) for seed in range(given.seeds)]
    texts = report(rows)
    kinds = ("fights", "tampering", "ordinary")
    reached = [threshold_for(*m.both(*kinds), FALSE_ALARMS_PER_THREE_MINUTES) for m in rows]
    threshold = float(1 / (1 + np.exp(-np.mean([logit(t) for t in reached]))))
    logits = [np.log(p / (1 - p)) for m in rows for p in (np.concatenate(m.both(*kinds)[1]).clip(1e-6, 1 - 1e-6),)]
    head = train(CONFIG, Composer(takes, MIXTURE, np.random.default_rng(0)), SETTINGS, seed=0)
    calibrate(head, threshold, float(np.std(np.concatenate(logits))))
    metadata = {
        "threshold_on": str(THRESHOLD_ON),
        "threshold_off": str(THRESHOLD_OFF),
        "threshold_choice": f"scores are calibrated so that {THRESHOLD_ON} gives {FALSE_ALARMS_PER_THREE_MINUTES:g} "
        f"upward crossing in three minutes of composed streams of held-out sources, mean of {given.seeds} seeds",
        "geometry": GEOMETRY,
        "crops": "1",
        "provenance": PROVENANCE,
        "license": "Apache-2.0",
        "measured": json.dumps(texts),
    }
    save_head(given.out, head, metadata)
    Console().print(f"head written to {given.out}")


if __name__ == "__main__":
    main()
