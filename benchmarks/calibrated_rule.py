"""The learned calibration as a rule for `benchmarks.budget_simulation`: the live code, a minute at a time.

Between two moments at which the level is learned, z is an affine function of the logit, so a stretch of clips is
transformed at once; only the clips that can change the counts or the alarm are processed one by one. The alarms are
those of `Calibration.observe` clip by clip (tests/stream/alarm/test_budget_simulation.py).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from benchmarks.simulated_cameras import CLIP, Day, FloatVector, World, camera_days
from benchmarks.simulated_rules import Options, Rung
from stream.alarm.calibration import Calibration
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.rule import AlarmRule, AlarmSettings, Change, ScoredClip
from stream.alarm.tail import AlarmCounts
from stream.alarm.threshold import Budget

OFF_SHARE: Final = 0.75
_STRETCH: Final = 256  # clips processed together


def causal_mean(values: FloatVector, count: int) -> FloatVector:
    """The mean of each value (n,) and the `count` - 1 before it, or as many as there are."""
    sums, counts = np.zeros(len(values)), np.zeros(len(values))
    for back in range(count):
        sums[back:] += values[: len(values) - back]
        counts[back:] += 1
    return np.asarray(sums / counts)


@lru_cache(maxsize=1)
def manifest_of(world: World, options: Options) -> CalibrationSettings:
    """What a bundle's manifest would contain for such cameras: from one day of each of eight others, without
    incidents.
    """
    others = replace(world, seed=world.seed + 1_000, cameras=8, days=1, incidents_a_day=0.0, drifting=0.0)
    days = [next(camera_days(others, camera)).logits for camera in range(others.cameras)]
    quantiles = np.array([np.quantile(logits, (0.16, 0.5, 0.84)) for logits in days])
    location, between = float(np.median(quantiles[:, 1])), float(quantiles[:, 1].std())
    spread = float(np.median(quantiles[:, 2] - quantiles[:, 0])) / 2
    settings = CalibrationSettings.from_mapping(
        dict(options.settings) | {"location": location, "between": between, "spread": spread}
    )
    counts = np.zeros(64)
    for logits, (_, middle, _) in zip(days, quantiles, strict=True):
        tally = AlarmCounts(settings, AlarmSettings(0.5, 0.5 * OFF_SHARE, options.min_duration))
        z = (logits - location - settings.location_weight * (middle - location)) / spread
        z = causal_mean(z, settings.smoothing)
        warm = np.flatnonzero(z >= tally.lowest)
        for index in np.unique(np.concatenate([warm + step for step in range(14)])):
            if index < len(z):
                tally.advance(float(index * CLIP), float((index + 1) * CLIP), float(z[index]))
        counts += tally.recent(48)[0]
    rates = np.maximum.accumulate(counts[::-1])[::-1] / len(days)
    rows = [(float(z), float(rate)) for z, rate in zip(tally.levels, rates, strict=True) if rate >= 0.3][::4]
    rows = [row for place, row in enumerate(rows) if not place or row[1] < rows[place - 1][1]]
    return replace(settings, tail=tuple(rows))


class CalibratedRule:
    """One camera, starting without knowledge. Without features: novelty is 0."""

    def __init__(self, settings: CalibrationSettings, budget: Budget, min_duration: float = 1.0) -> None:
        self._settings = settings
        self._alarm = AlarmSettings(0.5, 0.5 * OFF_SHARE, min_duration)
        self.calibration = Calibration(settings, self._alarm, budget)
        self._rule = AlarmRule(self._alarm)
        self._told = 0.0

    def alarms(self, day: Day) -> list[Rung]:
        """The alarms that were reported on this day."""
        found: list[Rung] = []
        index, moved = 0, day.moved
        while index < len(day.starts):
            if moved is not None and day.starts[index] >= moved:
                self.calibration.forget(float(day.starts[index]))
                moved = None
            end = min(len(day.starts), index + _STRETCH)
            if moved is not None:
                end = min(end, max(index + 1, int(np.searchsorted(day.starts, moved))))
            index += self._stretch(day.starts[index:end], day.logits[index:end], found)
        return found

    def _stretch(self, starts: FloatVector, logits: FloatVector, found: list[Rung]) -> int:
        """Clips up to where something is learned, at most these; returns how many."""
        calibration, counts = self.calibration, self.calibration.alarms.counts
        middle, spread = calibration.ordinary.transform
        alone = (logits - middle) / spread
        quiet = self._quiet_until(starts, self._smooth(alone))
        if not quiet:
            self._exactly(float(starts[0]), float(logits[0]), found)
            return 1
        rows = list(
            zip(starts[:quiet].tolist(), (starts[:quiet] + CLIP).tolist(), logits[:quiet].tolist(), strict=True)
        )
        pending = calibration.ordinary.pending
        held = [not pending.held_off(row[0]) for row in rows] if pending.held_off(rows[0][0]) else [True] * quiet
        pending.clips.extend(rows)
        pending.learn.extend(held)
        calibration.newest = rows[-1][:2]
        calibration.smoothed.extend(alone[max(0, quiet - self._settings.smoothing) : quiet].tolist())
        counts.expose(rows[0][0], rows[-1][1])
        return quiet

    def _smooth(self, alone: FloatVector) -> FloatVector:
        """The mean of each and the previous ones, as many as the calibration uses."""
        before = [*self.calibration.smoothed][-(self._settings.smoothing - 1) :] if self._settings.smoothing > 1 else []
        return causal_mean(np.concatenate([before, alone]), self._settings.smoothing)[len(before) :]

    def _quiet_until(self, starts: FloatVector, z: FloatVector) -> int:
        """How many clips neither raise an alarm nor cause the level or the threshold to be learned."""
        counts, pending = self.calibration.alarms.counts, self.calibration.ordinary.pending
        if not (counts.idle and counts.watched) or self._rule.active or self._rule.start_time is not None:
            return 0
        warm = z >= min(counts.lowest, self.calibration.threshold.z) - 1e-9
        if self._alarm.min_duration > CLIP:  # one clip alone is too short to change anything
            warm[:-1] &= warm[1:]
        hot = np.flatnonzero(warm)
        quiet = int(hot[0]) if len(hot) else len(z)
        hour = np.floor(counts.newest / 3_600)
        quiet = min(quiet, int(np.searchsorted(starts, 3_600 * (hour + 1))))
        if pending.clips:
            block = pending.block(self.calibration.ordinary.level.learnt) + self._settings.guard_seconds
            quiet = min(quiet, int(np.searchsorted(starts + CLIP - pending.clips[0][0], block)))
        else:
            quiet = min(quiet, 1)
        return quiet

    def _exactly(self, start: float, logit: float, found: list[Rung]) -> None:
        """One clip as in live operation."""
        rule = self._rule
        calibrated = self.calibration.observe(start, start + CLIP, logit, learn=not rule.active)
        if rule.settings.threshold_on != self.calibration.threshold.score:
            rule.settings = self._alarm.with_threshold(self.calibration.threshold.score)
        began = rule.start_time
        change = rule.advance(ScoredClip(start, start + CLIP, calibrated.score))
        if change is Change.STARTED:
            self._told = start + CLIP
        elif change is Change.ENDED and began is not None:
            found.append(Rung(began, self._told, rule.end_time))
