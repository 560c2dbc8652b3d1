"""Ordinary footage and incidents for tests of calibration: logits and features of clips of 0.64 s, seeded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from engine.arrays import FloatArray
from stream.alarm.calibration import Calibrated, Calibration
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmRule, AlarmSettings, ScoredClip

CLIP = 0.64
CHANNELS = 64
RULE = AlarmSettings(0.5, 0.375)
SETTINGS = CalibrationSettings()


@dataclass(frozen=True)
class Clip:
    start: float
    logit: float
    feature: FloatArray | None


@cache
def feature(kind: int, channels: int = CHANNELS) -> FloatArray:
    """What scene or deed `kind` looks like."""
    return np.random.default_rng([7, kind]).gamma(0.5, 1, channels).astype(np.float32)


def ordinary(
    seconds: float,
    begin: float = 0.0,
    *,
    level: float = -2.0,
    spread: float = 0.5,
    scene: int | None = None,
    seed: int = 0,
) -> Iterator[Clip]:
    """Noise that is correlated over a few seconds; with `scene`, features close to that scene's."""
    rng = np.random.default_rng([seed, 3])
    state = 0.0
    for index in range(round(seconds / CLIP)):
        state = 0.8 * state + 0.6 * rng.standard_normal()
        look = None
        if scene is not None:
            look = (feature(scene) * np.exp(0.05 * rng.standard_normal(CHANNELS))).astype(np.float32)
        yield Clip(begin + index * CLIP, level + spread * state, look)


class Watched:
    """A camera as it is live: calibration and alarm rule together."""

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.rule = AlarmRule(RULE)
        self.rung: list[float] = []
        self.newest = 0.0

    def see(self, clip: Clip) -> Calibrated:
        found = self.calibration.observe(
            clip.start, clip.start + CLIP, clip.logit, clip.feature, learn=not self.rule.active
        )
        self.rule.settings = RULE.with_threshold(self.calibration.threshold.score)
        was = self.rule.active
        self.rule.advance(ScoredClip(clip.start, clip.start + CLIP, found.score))
        if self.rule.active and not was:
            self.rung.append(clip.start)
        self.newest = clip.start + CLIP
        return found

    def see_all(self, clips: Iterator[Clip]) -> list[Calibrated]:
        return [self.see(clip) for clip in clips]


def watched(settings: CalibrationSettings = SETTINGS) -> Watched:
    return Watched(Calibration(settings, RULE))
