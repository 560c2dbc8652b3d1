"""A camera as the canary sees it: another bundle scores the clips that the live one has scored. Pure.

Its scores and alarms are compared with the live ones, and never published.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.event import EventMessage, ModelName
from stream.alarm.rule import AlarmSettings
from stream.archive.canary_store import Alarm, CanarySpan, Pairs
from stream.camera.messages import ClipReady
from stream.settings.settings import CameraConfig
from stream.watch.learnt_score import ScoreLearner
from stream.watch.watched_camera import WatchedCamera

SPAN: Final = 600.0  # seconds after which what was compared is stored
_APART: Final = 20.0  # seconds without a clip after which the window starts empty: its own length
_SAME_GAP: Final = 0.5  # seconds between two skipped clips of one gap


def chosen(cameras: Collection[str], share: float) -> frozenset[str]:
    """About that share of the cameras, but at least one if there are any: the same ones wherever this is asked, and a
    larger share only adds some.
    """
    found = frozenset(name for name in cameras if _place(name) < share)
    return found or frozenset(sorted(cameras, key=_place)[:1])


def _place(name: str) -> float:
    """Where a camera stands between 0 and 1, by its name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def for_bundle(alarm: AlarmSettings, live: AlarmSettings, canary: AlarmSettings) -> AlarmSettings:
    """Alarm settings as they would be with the canary's bundle: what comes from the `live` bundle is replaced."""
    off, on = alarm.threshold_off, alarm.threshold_on
    if on == live.threshold_on:
        on, off = canary.threshold_on, canary.threshold_off
    elif math.isclose(off, on * live.threshold_off / max(live.threshold_on, 1e-9)):
        off = on * canary.threshold_off / max(canary.threshold_on, 1e-9)
    lasting = canary.min_duration if alarm.min_duration == live.min_duration else alarm.min_duration
    return replace(alarm, threshold_on=on, threshold_off=off, min_duration=lasting, notices_per_day=0.0)


@dataclass(frozen=True)
class LiveClip:
    """A clip that the live bundle has scored; `window` and `connects` as in `Scored`. `config` contains the alarm
    settings of the canary.
    """

    config: CameraConfig
    clip: ClipReady
    score: float
    window: int
    connects: bool


class CanaryCamera:
    """For each clip: `begin`, then `known_feature`, and either `skip` or `push` and, if it has a score, `scored`."""

    def __init__(
        self,
        config: CameraConfig,
        live: ModelName,
        canary: ModelName,
        calibration: CalibrationSettings | None,
        wall: Callable[[float], float],
    ) -> None:
        self._camera = WatchedCamera(config, canary, calibration=calibration, wall=wall)
        self._config = config
        self._live, self._model = live, canary
        self._wall = wall
        self._newest = -math.inf  # end of the newest clip
        self._open: float | None = None  # when the alarm that is open began, in epoch seconds
        self._span: CanarySpan | None = None

    @property
    def learner(self) -> ScoreLearner:
        return self._camera.learner

    @property
    def due(self) -> bool:
        """Whether the span is long enough to be stored."""
        return self._span is not None and self._span.end - self._span.start >= SPAN

    def begin(self, live: LiveClip) -> None:
        """The next clip; the window starts empty if it does not follow the last one."""
        if live.config != self._config:
            self._config = live.config
            self._camera.configure(live.config)
        if live.connects or live.clip.start - self._newest > _APART:
            self._camera.interrupt()
            for message in self._camera.close_scored("camera_lost"):
                self._hear(message)
        if self._span is None:
            at = self._wall(live.clip.start)
            names = (self._live.bundle, self._live.sha256, self._model.bundle, self._model.sha256)
            self._span = CanarySpan(self._camera.name, at, at, *names)

    def known_feature(self, clip: ClipReady) -> FloatArray | None:
        """The newest feature, if it applies to this clip, too."""
        return self._camera.window.known_feature(clip)

    def push(self, live: LiveClip, feature: FloatArray) -> FloatArray:
        """Add the clip's feature, (crops, C); returns the window to be scored, (T, crops, C)."""
        return self._camera.push(live.clip, feature)

    def take_back(self) -> None:
        """The clip that was pushed has no score."""
        self._camera.window.take_back()

    def skip(self, live: LiveClip) -> None:
        """The canary could not score this clip."""
        start, end = self._wall(live.clip.start), self._wall(live.clip.end)
        *gaps, (began, until) = self._now.gaps or ((start, start),)
        gaps += [(began, end)] if start - until < _SAME_GAP else [(began, until), (start, end)]
        self._span = replace(self._now, end=end, skipped=self._now.skipped + 1, gaps=tuple(gaps))

    def scored(self, live: LiveClip, scores: FloatArray) -> None:
        """The canary's scores of the window, (T,)."""
        clip = live.clip
        scored = self._camera.scored(clip, scores, lambda window: np.zeros(len(window), np.float32))
        self._camera.learner.changes()  # nobody asks for them
        start, end = self._wall(clip.start), self._wall(clip.end)
        pair = Pairs.of(live.score, scored.score, start) if scored.window == live.window else Pairs()
        self._span = replace(
            self._now,
            end=end,
            pairs=self._now.pairs + pair,
            scored=self._now.scored + 1,
            seconds=self._now.seconds + max(0.0, clip.end - max(clip.start, self._newest)),
        )
        self._newest = clip.end
        self._hear(scored.event)

    def flush(self, fault: str = "") -> CanarySpan | None:
        """The span so far, None if there is none; the next clip begins another one."""
        span, self._span = self._span, None
        if span is None:
            return None
        if self._open is not None:
            span = replace(span, alarms=(*span.alarms, (self._open, span.end, self._camera.alarm.rule.top_score)))
        return replace(span, learning=self._camera.learner.state()["state"] == "learning", fault=fault)

    @property
    def _now(self) -> CanarySpan:
        assert self._span is not None  # noqa: S101 -- `begin` comes first
        return self._span

    def _hear(self, message: EventMessage | None) -> None:
        if message is None or message.suppressed is not None:
            return
        if message.type == "new":
            self._open = self._wall(message.start_time)
        elif message.type == "end" and self._open is not None:
            ended = message.start_time if message.end_time is None else message.end_time
            alarm: Alarm = (self._open, self._wall(ended), message.top_score)
            self._open = None
            if self._span is not None:
                self._span = replace(self._span, alarms=(*self._span.alarms, alarm))
