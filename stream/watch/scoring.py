"""Runs ready clips of several cameras through the engine, and passes the scores to their cameras."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from engine.arrays import FloatArray
from engine.engine import Engine
from engine.errors import BackendError, NotFiniteError
from stream.alarm.event import UNKNOWN
from stream.archive.explanation import last_picture
from stream.base.log import log
from stream.camera.messages import ClipReady
from stream.watch.decoder_process import DecoderProcess
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter

CLEAR: Final = 0.7  # share of the head's soft maximum from which on one kind stands above the others
# So many clips without finite numbers within so many seconds, and another engine takes over.
TOO_MANY, WITHIN = 8, 600.0
Batch = Sequence[tuple[DecoderProcess, ClipReady]]


class Scorer:
    """Used by the main loop. A clip for which the engine returns NaN or infinity is dropped and counted."""

    def __init__(self, engine: Engine, report: Reporter, metrics: Metrics) -> None:
        self._engine = engine
        self._report = report
        self._metrics = metrics
        self._dropped: deque[float] = deque(maxlen=TOO_MANY)
        self._complaint = ""
        self._can_change = True

    def score(self, batch: Batch) -> None:
        """Score the clips together, return their slots, and report the results. Raises EngineError."""
        began = time.monotonic()
        features = self._features(batch)
        after_backbone = time.monotonic()
        pictures = [last_picture(decoder.ring.clips[clip.slot]) for decoder, clip in batch]
        for decoder, clip in batch:
            decoder.give_back(clip.slot)
            self._metrics.stage("wait", began - clip.arrival)
        pushed, windows = [], []
        for (decoder, clip), feature, picture in zip(batch, features, pictures, strict=True):
            if feature is None:
                self._drop(decoder)
                continue
            windows.append(decoder.camera.push(clip, feature, picture))
            pushed.append((decoder, clip))
        scores = self._finite(self._engine.scores, windows)
        self._metrics.stage("backbone", after_backbone - began)
        self._metrics.stage("head", time.monotonic() - after_backbone)
        for (decoder, clip), row in zip(pushed, scores, strict=True):
            if row is None:
                decoder.camera.window.take_back()
                self._drop(decoder)
                continue
            self._name_engine(decoder)
            scored = decoder.camera.scored(clip, row, self._contributions, lambda window: kind_of(window, self._engine))
            self._report.scored(decoder, scored, clip)
        if self._can_change and len(self._dropped) == TOO_MANY and self._dropped[-1] - self._dropped[0] <= WITHIN:
            self._change_engine()

    def _features(self, batch: Batch) -> list[FloatArray | None]:
        """The feature of each clip, (crops, C): one that is already known, or from the backbone, in one batch; None if
        it is not finite.
        """
        features = [decoder.camera.window.known_feature(clip) for decoder, clip in batch]
        unknown = [index for index, known in enumerate(features) if known is None]
        clips = [batch[index][0].ring.clips[batch[index][1].slot] for index in unknown]
        fresh = self._finite(
            lambda clips: self._engine.features(clips[0][None] if len(clips) == 1 else np.stack(clips)), clips
        )
        for index, feature in zip(unknown, fresh, strict=True):
            features[index] = feature
        return features

    def _finite(
        self, run: Callable[[list[Any]], Sequence[FloatArray] | FloatArray], given: list[Any]
    ) -> list[FloatArray | None]:
        """A result for each of `given`, None where it is not finite; the others are computed again without those."""
        found: list[FloatArray | None] = [None] * len(given)
        left = list(range(len(given)))
        while left:
            try:
                results = run([given[index] for index in left])
            except NotFiniteError as error:
                if self._complaint != str(error):
                    self._complaint = str(error)
                    log.error("clips dropped", reason=self._complaint)
                wrong = {left[row] for row in error.rows}
                left = [index for index in left if index not in wrong]
                continue
            for index, result in zip(left, results, strict=True):
                found[index] = result
            break
        return found

    def _contributions(self, window: FloatArray) -> FloatArray:
        """What each clip adds to the score; zeros if the engine returns no finite numbers."""
        try:
            return self._engine.contributions(window)
        except NotFiniteError:
            return np.zeros(len(window), np.float32)

    def _drop(self, decoder: DecoderProcess) -> None:
        now, camera = time.monotonic(), decoder.camera
        self._dropped.append(now)
        camera.presence.unscorable(now)
        self._metrics.unscorable(camera.name)

    def _change_engine(self) -> None:
        """Go on with the next engine, if there is one."""
        self._dropped.clear()
        before = self._engine.backend.name
        try:
            self._engine.give_way()
        except BackendError as error:
            self._can_change = False
            log.error("engine not changed", engine=before, reason=str(error))
            return
        log.error("engine changed: too many clips were dropped", engine=before, now=self._engine.backend.name)

    def _name_engine(self, decoder: DecoderProcess) -> None:
        """Events name the engine that scored them."""
        camera, name = decoder.camera, self._engine.backend.name
        if camera.model.backend != name:
            camera.model = replace(camera.model, backend=name)
            self._metrics.scored_by(camera.model)


def kind_of(window: FloatArray, engine: Engine) -> str:
    """The kind of incident that the newest clip of a window looks like, if the bundle may claim it, else `unknown`."""
    manifest = engine.manifest
    if not manifest.claimed_kinds:
        return UNKNOWN
    try:
        shares = engine.kind_shares(window)[-1]
    except NotFiniteError:
        return UNKNOWN
    kind = manifest.kinds[int(shares.argmax())]
    return kind if shares.max() >= CLEAR and kind in manifest.claimed_kinds else UNKNOWN
