"""Runs ready clips of several cameras through the engine, and passes the scores to their cameras."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from engine.arrays import FloatArray
from engine.engine import Engine
from stream.archive.explanation import last_picture
from stream.camera.messages import ClipReady
from stream.watch.decoder_process import DecoderProcess
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter

Batch = Sequence[tuple[DecoderProcess, ClipReady]]


def score(batch: Batch, engine: Engine, report: Reporter, metrics: Metrics) -> None:
    """Score the clips together, return their slots, and report the results."""
    began = time.monotonic()
    features = _features(batch, engine)
    after_backbone = time.monotonic()
    pictures = [last_picture(decoder.ring.clips[clip.slot]) for decoder, clip in batch]
    for decoder, clip in batch:
        decoder.give_back(clip.slot)
        metrics.stage("wait", began - clip.arrival)
    windows = [
        decoder.camera.push(c, f, picture) for (decoder, c), f, picture in zip(batch, features, pictures, strict=True)
    ]
    scores = engine.scores(windows)
    metrics.stage("backbone", after_backbone - began)
    metrics.stage("head", time.monotonic() - after_backbone)
    for (decoder, clip), row in zip(batch, scores, strict=True):
        scored = decoder.camera.scored(clip, row, engine.contributions)
        report.scored(decoder, scored, clip)


def _features(batch: Batch, engine: Engine) -> list[FloatArray]:
    """The feature of each clip, (crops, C): one that is already known, or from the backbone, in one batch."""
    features = [decoder.camera.window.known_feature(clip) for decoder, clip in batch]
    moved = [d.ring.clips[clip.slot] for (d, clip), known in zip(batch, features, strict=True) if known is None]
    if moved:
        fresh = iter(engine.features(moved[0][None] if len(moved) == 1 else np.stack(moved)))
        features = [next(fresh) if known is None else known for known in features]
    return [feature for feature in features if feature is not None]
