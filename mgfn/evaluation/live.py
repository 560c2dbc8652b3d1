"""Streaming figures: what a live user would get from a head, by look-ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from configs.sizes import CLIP_LENGTH
from mgfn.evaluation.early import latency_aware_ap
from mgfn.evaluation.metrics import Frames, ScoredVideo
from mgfn.training.compose import Stream
from mgfn.training.streaming import count_alarms
from mgfn.truth import BoolArray, clip_of_frame

CONFIDENCE = 0.95
RULE_SECONDS = 10.0


@dataclass(frozen=True)
class LiveFigures:
    """Figures at one look-ahead; NaN if there was nothing to measure.

    auc, average_precision: over frames, each with its clip's causal score. delays: for the incidents found, seconds
    from the start of the first anomalous clip until the score of the first alarm clip is
        available.
    false_alarms_an_hour_bound: one-sided 95 % upper bound of the rate, assuming Poisson-distributed false alarms.
    false_alarms_a_day, with its bound: the same rates for one camera that is watched for 24 hours.
    f1_within_ten_seconds: see `ilids_f1`. latency_aware_ap: see `mgfn.evaluation.early`; it needs no threshold.
    time_in_alarm: share of ordinary time with a score at or above the threshold. Ordinary is what is more than 2 s away
    from every
        incident; alarms are counted before any minimum duration.
    """

    look_ahead: int
    auc: float
    average_precision: float
    incidents: int
    found: int
    delays: tuple[float, ...]
    false_alarms: int
    ordinary_hours: float
    false_alarms_an_hour: float
    false_alarms_an_hour_bound: float
    time_in_alarm: float
    false_alarms_a_day: float
    false_alarms_a_day_bound: float
    f1_within_ten_seconds: float
    latency_aware_ap: float


def live_figures(
    videos: Sequence[ScoredVideo], look_ahead: int, threshold: float, frames_per_second: float
) -> LiveFigures:
    """Figures of videos, each one stream, with scores computed after `look_ahead` more clips."""
    seconds = CLIP_LENGTH / frames_per_second
    measures = Frames(videos).measure()
    # counting uses only labels
    streams = [
        Stream(
            np.empty((len(video.scores), 0, 0), np.float32), clip_labels(video.labels, len(video.scores)), video.name
        )
        for video in videos
    ]
    alarms = count_alarms(streams, [video.scores for video in videos], threshold, seconds)
    hours = alarms.ordinary_seconds / 3600
    rate = alarms.false_alarms / hours if hours else math.nan
    bound = poisson_bound(alarms.false_alarms) / hours if hours else math.nan
    return LiveFigures(
        look_ahead=look_ahead,
        auc=measures.auc,
        average_precision=measures.average_precision,
        incidents=alarms.incidents,
        found=alarms.found,
        delays=tuple(delay + look_ahead * seconds for delay in alarms.delays),
        false_alarms=alarms.false_alarms,
        ordinary_hours=hours,
        false_alarms_an_hour=rate,
        false_alarms_an_hour_bound=bound,
        time_in_alarm=alarms.ordinary_seconds_in_alarm / alarms.ordinary_seconds if hours else math.nan,
        false_alarms_a_day=24 * rate,
        false_alarms_a_day_bound=24 * bound,
        f1_within_ten_seconds=ilids_f1(
            [stream.labels for stream in streams],
            [video.scores >= threshold for video in videos],
            math.floor(RULE_SECONDS / seconds),
        ),
        latency_aware_ap=latency_aware_ap(
            [stream.labels for stream in streams], [video.scores for video in videos], seconds, look_ahead
        ),
    )


def ilids_f1(labels: Sequence[BoolArray], above: Sequence[BoolArray], within: int) -> float:
    """F1 of alarms, with the rule of the UK Home Office's i-LIDS that an alarm must begin within ten seconds.

    An incident is found if an alarm (an upward crossing) begins at its first clip or at most `within` clips later.
    Further alarms during an incident that was found, and in those clips, are ignored; all others are false. Recall has
    the same weight as precision; i-LIDS itself weights it by scenario. Written from memory of its user guide. NaN
    without incidents and alarms.
    """
    found = incidents = false = 0
    for marked, over in zip(labels, above, strict=True):
        begins = np.flatnonzero(over & ~np.r_[False, over[:-1]])
        edges = np.flatnonzero(np.diff(np.r_[False, marked, False].astype(int)))
        known = np.zeros(len(begins), bool)
        for first, past in zip(edges[::2], edges[1::2], strict=True):
            incidents += 1
            if ((begins >= first) & (begins <= first + within)).any():
                found += 1
                known |= (begins >= first) & (begins < max(past, first + within + 1))
        false += int((~known).sum())
    total = incidents + found + false
    return 2 * found / total if total else math.nan


def clip_labels(labels: BoolArray, clips: int) -> NDArray[np.bool_]:
    """(clips,): a clip is anomalous if any of its frames (frames,) is, so that no short incident is lost."""
    return np.bincount(clip_of_frame(len(labels), clips)[labels], minlength=clips) > 0


def poisson_bound(events: int) -> float:
    """The mean at which `events` or fewer are observed with a probability of 5 %: 3.0 for none."""
    return float(chi2.ppf(CONFIDENCE, 2 * (events + 1)) / 2)
