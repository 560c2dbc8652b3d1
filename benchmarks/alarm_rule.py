"""Measures what minimum duration and stride cost in delay, and what they save in false alarms.

First, composed streams of held-out sources (stride 16): for each minimum duration, the lowest threshold that keeps the
false alarms of the live rule below a rate, and what it finds and when. The scores are those of the default head's
linear probes alone, trained on the other folds: seconds per fold instead of minutes for the networks.

Then the demo's staged incident through the default bundle: from its start to the end of the clip that raises the alarm,
and the alarms before it, by stride and minimum duration, for all places (every fourth frame) where clips may begin.

Run from the project's root: python -m benchmarks.alarm_rule [--folds 5] [--streams 40] [--bundle DIR]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import platformdirs
import torch

from configs.pinned import PinnedFile, cache_folder, fetch
from configs.sizes import CLIP_LENGTH
from engine.engine import Engine
from mgfn.network import Head
from mgfn.training.compose import Composer, Stream, Take
from mgfn.training.mil import train
from mgfn.training.streaming import CLIP_SECONDS, TOLERANCE_SECONDS
from recipes.default_head.features import extract, read_crops
from recipes.default_head.takes import folds, load_takes
from recipes.default_head.train import CONFIG, FOLDS, MIXTURE, OFF_SHARE, SETTINGS, VARIANTS, Measured
from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.service.staged_footage import FPS, INCIDENT, staged_footage
from stream.settings.bundle import cached_bundle

DURATIONS = (0.6, 1.0, 1.9)  # of one clip, of two, of three
RATES = (6.0, 3.0, 1.5)  # false alarms per hour
CACHE = Path(platformdirs.user_cache_dir("mgfn-stream")) / "default-head"


def alarms(scores: Sequence[float], starts: Sequence[float], on: float, off: float, duration: float) -> list[int]:
    """The clips at which the live rule raises alarms; `starts` of clips in seconds."""
    rule = AlarmRule(AlarmSettings(on, off, min_duration=duration))
    clips = [ScoredClip(start, start + CLIP_SECONDS, float(score)) for start, score in zip(starts, scores, strict=True)]
    return [index for index, clip in enumerate(clips) if rule.advance(clip) is Change.STARTED]


def counted(
    streams: Sequence[Stream], scores: Sequence[np.ndarray], on: float, duration: float
) -> tuple[float, float, list[float]]:
    """False alarms per hour, the share of incidents found, and their delays."""
    false = incidents = 0
    ordinary, delays = 0.0, []
    near = int(TOLERANCE_SECONDS / CLIP_SECONDS)
    for stream, score in zip(streams, scores, strict=True):
        edges = np.flatnonzero(np.diff(np.r_[False, stream.labels, False].astype(int))).reshape(-1, 2)
        close = np.zeros(len(score), bool)
        for begin, end in edges:
            close[max(0, begin - near) : end + near] = True
        found = alarms(score, np.arange(len(score)) * CLIP_SECONDS, on, OFF_SHARE * on, duration)
        for begin, end in edges:
            inside = [clip for clip in found if begin <= clip < end + near]
            delays += [(inside[0] + 1 - begin) * CLIP_SECONDS] if inside else []
        incidents += len(edges)
        false += sum(not close[clip] for clip in found)
        ordinary += float((~close).sum()) * CLIP_SECONDS
    return false / ordinary * 3600, len(delays) / max(1, incidents), delays


def probes(takes: Sequence[Take], fold: int) -> Head:
    """The default head without its networks: one step trains one, and its logits are ignored."""
    settings = dataclasses.replace(SETTINGS, steps=1, network_share=0.0)
    composer = Composer(takes, MIXTURE, np.random.default_rng(fold))
    return train(dataclasses.replace(CONFIG, members=1), composer, settings, fold)


def held_out(data: Path, wanted: int, streams: int) -> None:
    extract(data, CACHE, list(VARIANTS))
    takes, measured = load_takes(data, CACHE, VARIANTS), Measured()
    for fold, sources in list(enumerate(folds(takes, FOLDS)))[:wanted]:
        head = probes([take for take in takes if take.source not in sources], fold)
        measured.add(head, [take for take in takes if take.source in sources], fold, streams, length=96)
    composed, scores = measured.both("fights", "tampering", "ordinary")
    for duration in DURATIONS:
        rows = [(on, *counted(composed, scores, on, duration)) for on in np.arange(0.98, 0.2, -0.02)]
        for rate in RATES:
            held = [row for index, row in enumerate(rows) if all(r[1] <= rate for r in rows[: index + 1])]
            if held:
                on, false, share, delays = held[-1]
                late = f"median {np.median(delays):.2f} s, p95 {np.percentile(delays, 95):.2f} s" if delays else "none"
                print(f"minimum duration {duration} s, at most {rate:g} false alarms an hour: threshold {on:.2f}, "
                      f"{false:.1f} an hour, found {share:.0%}, delay {late}", flush=True)  # fmt: skip


def staged(bundle: Path) -> None:
    samples = cache_folder("samples")
    video = staged_footage(fetch(PinnedFile.named("samples.json", "bikes"), samples), samples)
    with Engine.open(bundle) as engine:
        thresholds, window = engine.manifest.thresholds, engine.manifest.window
        assert thresholds is not None
        frames = read_crops(video, engine.manifest.geometry)[:, : round(FPS * INCIDENT[1])]
        begins = range(0, frames.shape[1] - CLIP_LENGTH + 1, 4)
        feature = {
            at: engine.features(np.ascontiguousarray(frames[None, :, at : at + CLIP_LENGTH]))[0] for at in begins
        }
        score = {}
        for at in begins:  # a window contains clips end to end, whatever the stride
            score[at] = float(
                engine.scores([np.stack([feature[k] for k in range(at % CLIP_LENGTH, at + 1, CLIP_LENGTH)][-window:])])[
                    0
                ][-1]
            )
    peak = max(value for at, value in score.items() if (at + CLIP_LENGTH) / FPS <= INCIDENT[0])
    print(f"threshold {thresholds.on}; highest score of a clip before the incident {peak:.2f}")
    for stride in (16, 8, 4):
        for duration in DURATIONS:
            delays, early, phases = [], [], range(0, stride, 4)
            for phase in phases:
                clips = list(range(phase, frames.shape[1] - CLIP_LENGTH + 1, stride))
                starts = [at / FPS for at in clips]
                found = alarms([score[at] for at in clips], starts, thresholds.on, thresholds.off, duration)
                ends = [starts[k] + CLIP_SECONDS - INCIDENT[0] for k in found]
                early += [f"{INCIDENT[0] + end:.1f} s" for end in ends if end <= 0]
                delays += [end for end in ends if end > 0][:1]
            late = f"{min(delays):.2f} to {max(delays):.2f} s" if delays else "none"
            print(f"stride {stride}, minimum duration {duration} s: {len(delays)} of {len(phases)} found, {late}; "
                  f"alarms before it at: {', '.join(early) or 'none'}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--folds", type=int, default=FOLDS, help="0: the staged incident alone")
    parser.add_argument("--streams", type=int, default=40, help="of each kind in each fold")
    parser.add_argument("--bundle", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(2)
    if given.folds:
        held_out(given.data, given.folds, given.streams)
    staged(given.bundle or cached_bundle())


if __name__ == "__main__":
    main()
