"""False alarms on hard normal videos: ordinary life in scenes that a head knows from incidents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.sizes import CLIP_LENGTH
from mgfn.evaluation.live import poisson_bound
from mgfn.evaluation.metrics import FALSE_ALARM_THRESHOLD


@dataclass(frozen=True)
class HardNormal:
    """Figures of videos without any incident, so that every alarm is a false one.

    After Liu et al., "Rethinking Metrics and Benchmarks of Video Anomaly Detection" (arXiv 2505.19022, 2025), whose
    sets UCF-HN (100 videos) and MSAD-HN (67) continue key frames of abnormal *training* videos as ordinary life. A head
    that learned the scene instead of the incident alarms there. Any set of ordinary videos of such scenes will do.

    false_alarm_rate: share of frames whose score in the whole video is 0.5 or more, the published measure (Sultani et
    al. 2018). The other figures are those of a live user: each clip is scored when it arrives, an alarm is a crossing
    of the head's threshold. false_alarms_a_day_bound: one-sided 95 % upper bound, as in `mgfn.evaluation.live`.
    """

    name: str
    videos: int
    false_alarm_rate: float
    videos_in_alarm: int
    false_alarms: int
    hours: float
    false_alarms_a_day: float
    false_alarms_a_day_bound: float


def hard_normal_figures(
    name: str,
    whole: Sequence[NDArray[np.float32]],
    live: Sequence[NDArray[np.float32]],
    threshold: float,
    frames_per_second: float,
) -> HardNormal:
    """Figures from the scores (clips,) of each video: of the whole video at once, and of each clip when it arrives."""
    begins = [int((over & ~np.r_[False, over[:-1]]).sum()) for over in (scores >= threshold for scores in live)]
    hours = sum(map(len, live)) * CLIP_LENGTH / frames_per_second / 3600
    alarms = sum(begins)
    every = np.concatenate(list(whole)) if whole else np.empty(0, np.float32)
    return HardNormal(
        name=name,
        videos=len(whole),
        false_alarm_rate=float((every >= FALSE_ALARM_THRESHOLD).mean()) if len(every) else math.nan,
        videos_in_alarm=sum(count > 0 for count in begins),
        false_alarms=alarms,
        hours=hours,
        false_alarms_a_day=24 * alarms / hours if hours else math.nan,
        false_alarms_a_day_bound=24 * poisson_bound(alarms) / hours if hours else math.nan,
    )
