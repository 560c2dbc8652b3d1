"""Runs ready clips of several cameras through the engine, and passes the scores to their cameras."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from engine.arrays import FloatArray, UInt8Array
from engine.engine import Engine
from engine.errors import BackendError, NotFiniteError
from stream.alarm.event import UNKNOWN, FocusRegion
from stream.archive.explanation import last_picture
from stream.base.ownership import ALONE, Ownership
from stream.camera.messages import ClipReady
from stream.watch.decoder_process import DecoderProcess
from stream.watch.engine_care import EngineCare
from stream.watch.metrics import Metrics
from stream.watch.reporter import Reporter
from stream.watch.watched_camera import Scored, WatchedCamera

CLEAR: Final = 0.7  # share of the head's soft maximum from which on one kind stands above the others
OfferClip = Callable[[DecoderProcess, Scored], None]
AskHeatMap = Callable[[str, FocusRegion | None, UInt8Array, FloatArray], None]
Batch = Sequence[tuple[DecoderProcess, ClipReady]]


class Scorer:
    """Used by the main loop. A clip for which the engine returns NaN or infinity is dropped and counted."""

    def __init__(
        self,
        engine: Engine,
        report: Reporter,
        metrics: Metrics,
        heat_map: AskHeatMap | None = None,
        canary: OfferClip | None = None,
        ownership: Ownership = ALONE,
    ) -> None:
        self._ownership = ownership
        self._engine = engine
        self._heat_map = heat_map
        self._canary = canary
        self._report = report
        self._metrics = metrics
        self._care = EngineCare(engine)

    def score(self, batch: Batch) -> None:
        """Score the clips together, report the results, and return their slots. Raises EngineError."""
        try:
            self._score(batch)
        finally:
            for decoder, clip in batch:
                decoder.give_back(clip.slot)

    def _score(self, batch: Batch) -> None:
        began = time.monotonic()
        features = self._features(batch)
        after_backbone = time.monotonic()
        pictures = [last_picture(decoder.ring.clips[clip.slot]) for decoder, clip in batch]
        for _, clip in batch:
            self._metrics.stage("wait", began - clip.arrival)
        pushed, windows = [], []
        for (decoder, clip), feature, picture in zip(batch, features, pictures, strict=True):
            if feature is None:
                self._drop(decoder)
                continue
            windows.append(decoder.camera.push(clip, feature, picture))
            pushed.append((decoder, clip))
        scores = self._care.scores(windows)
        self._metrics.stage("backbone", after_backbone - began)
        self._metrics.stage("head", time.monotonic() - after_backbone)
        done: list[tuple[DecoderProcess, Scored]] = []
        for (decoder, clip), row in zip(pushed, scores, strict=True):
            if row is None:
                decoder.camera.window.take_back()
                self._drop(decoder)
                continue
            self._name_engine(decoder)
            if not self._speaks(decoder.camera):  # the lease lapsed while it was computed
                continue
            scored = decoder.camera.scored(
                clip, row, self._care.contributions, lambda window: kind_of(window, self._engine)
            )
            self._report.scored(decoder, scored, clip)
            self._ask_heat_map(decoder, scored)
            done.append((decoder, scored))
        self._care.replace_if_bad()
        if self._canary is not None:
            for decoder, scored in done:
                self._canary(decoder, scored)

    def check(self, decoders: Iterable[DecoderProcess]) -> None:
        """Every hour, check the engine with the known clip. Windows of an engine that computed wrongly start empty.

        Raises BackendError if no engine computes rightly.
        """
        if self._care.check():
            for decoder in decoders:
                decoder.camera.interrupt()

    def _features(self, batch: Batch) -> list[FloatArray | None]:
        """The feature of each clip, (crops, C): one that is already known, or from the backbone, in one batch; None if
        it is not finite.
        """
        features = [decoder.camera.window.known_feature(clip) for decoder, clip in batch]
        unknown = [index for index, known in enumerate(features) if known is None]
        clips = [batch[index][0].ring.clips[batch[index][1].slot] for index in unknown]
        fresh = self._care.features(clips)
        for index, feature in zip(unknown, fresh, strict=True):
            features[index] = feature
        for index, (decoder, _) in enumerate(batch):
            self._metrics.clip(decoder.camera.name, reused=index not in unknown)
        return features

    def _ask_heat_map(self, decoder: DecoderProcess, scored: Scored) -> None:
        """For the clip that began an alarm; its slot is not given back yet."""
        event, why = scored.event, scored.explanation
        if self._heat_map is None or event is None or why is None or decoder.camera.is_self_test:
            return
        self._heat_map(event.id, event.focus_region, decoder.ring.clips[scored.clip.slot][0], why.features)

    def _speaks(self, camera: WatchedCamera) -> bool:
        return self._ownership.speaks(camera.name, camera.fence)

    def _drop(self, decoder: DecoderProcess) -> None:
        now, camera = time.monotonic(), decoder.camera
        self._care.dropped(now)
        camera.presence.unscorable(now)
        self._metrics.unscorable(camera.name)

    def _name_engine(self, decoder: DecoderProcess) -> None:
        """Events name the engine that scored them."""
        camera, name = decoder.camera, self._care.backend
        if camera.model.backend != name:
            camera.presence.engine_changed(self._care.changed_at)
            camera.model = replace(camera.model, backend=name)
            self._metrics.scored_by(camera.model)


def kind_of(window: FloatArray, engine: Engine) -> str:
    """The kind of incident that the newest clip of a window looks like, if the bundle may claim it, else `unknown`."""
    manifest = engine.manifest
    if not manifest.claimed_kinds:
        return UNKNOWN
    try:
        shares = engine.kind_shares(window)[-1]
    except (NotFiniteError, BackendError):  # the next clip shows whether it is broken
        return UNKNOWN
    kind = manifest.kinds[int(shares.argmax())]
    return kind if shares.max() >= CLEAR and kind in manifest.claimed_kinds else UNKNOWN
