"""Ready clips of any cameras through the engine, and their scores to the cameras they belong to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.engine import Engine
from stream.decoders import DecoderHandle
from stream.explanation import last_picture
from stream.messages import ClipReady
from stream.metrics import Metrics
from stream.reporter import Reporter

LARGEST_BATCH: Final = 8

Batch = Sequence[tuple[DecoderHandle, ClipReady]]


def next_batch(decoders: Sequence[DecoderHandle]) -> Batch:
    """One clip of each camera that has one, those that wait longest first."""
    waiting = sorted((decoder for decoder in decoders if decoder.pending), key=lambda d: d.pending[0].arrival)
    return [(decoder, decoder.pending.popleft()) for decoder in waiting[:LARGEST_BATCH]]


def score(batch: Batch, engine: Engine, report: Reporter, metrics: Metrics) -> None:
    """Score the clips together, give their slots back and report what came of each."""
    began = time.monotonic()
    views = [decoder.ring.clips[clip.slot] for decoder, clip in batch]
    features = engine.features(views[0][None] if len(views) == 1 else np.stack(views))
    after_backbone = time.monotonic()
    looks = [last_picture(view) for view in views]
    for decoder, clip in batch:
        decoder.give_back(clip.slot)
        metrics.stage("wait", began - clip.arrival)
    windows = [decoder.track.push(c, f, look) for (decoder, c), f, look in zip(batch, features, looks, strict=True)]
    scores = engine.scores(windows)
    metrics.stage("backbone", after_backbone - began)
    metrics.stage("head", time.monotonic() - after_backbone)
    for (decoder, clip), row in zip(batch, scores, strict=True):
        scored = decoder.track.scored(clip, row, engine.contributions)
        report.event(decoder, scored.event, clip)
        report.scored(decoder.track, scored)
