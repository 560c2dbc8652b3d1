"""Runs ready clips of several cameras through the engine, and passes the scores to their cameras."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.arrays import FloatArray
from engine.engine import Engine
from stream.alarm.event import UNKNOWN
from stream.archive.explanation import last_picture
from stream.camera.messages import ClipReady
from stream.watch.decoder_process import DecoderProcess
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter

CLEAR: Final = 0.7  # share of the head's soft maximum from which on one kind stands above the others
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
        scored = decoder.camera.scored(clip, row, engine.contributions, lambda window: kind_of(window, engine))
        report.scored(decoder, scored, clip)


def kind_of(window: FloatArray, engine: Engine) -> str:
    """The kind of incident that the newest clip of a window looks like, if the bundle may claim it, else `unknown`."""
    manifest = engine.manifest
    if not manifest.claimed_kinds:
        return UNKNOWN
    shares = engine.kind_shares(window)[-1]
    kind = manifest.kinds[int(shares.argmax())]
    return kind if shares.max() >= CLEAR and kind in manifest.claimed_kinds else UNKNOWN


def _features(batch: Batch, engine: Engine) -> list[FloatArray]:
    """The feature of each clip, (crops, C): one that is already known, or from the backbone, in one batch."""
    features = [decoder.camera.window.known_feature(clip) for decoder, clip in batch]
    moved = [d.ring.clips[clip.slot] for (d, clip), known in zip(batch, features, strict=True) if known is None]
    if moved:
        fresh = iter(engine.features(moved[0][None] if len(moved) == 1 else np.stack(moved)))
        features = [next(fresh) if known is None else known for known in features]
    return [feature for feature in features if feature is not None]
