"""Streaming truth on timelines made by hand: clips of 0.64 s."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mgfn.evaluation.live import clip_labels, ilids_f1, live_figures, poisson_bound
from mgfn.evaluation.metrics import ScoredVideo

HIGH, LOW = 0.9, 0.1


def timeline(name: str, scores: str, labels: str) -> ScoredVideo:
    """One character a clip: `#` is high or anomalous, `.` is not."""
    values = [HIGH if mark == "#" else LOW for mark in scores]
    return ScoredVideo(name, np.array(values, np.float32), np.repeat([mark == "#" for mark in labels], 16))


def test_a_timeline() -> None:
    videos = [
        # a false alarm, then an incident found at its fourth clip; the alarm goes on within 2 s after it
        timeline("a", ".##...........###..........", "...........####............"),
        timeline("b", "..........", "....##...."),  # an incident missed
        timeline("c", "#.#.......", ".........."),  # two false alarms
    ]
    figures = live_figures(videos, look_ahead=2, threshold=0.5, frames_per_second=25)
    assert (figures.incidents, figures.found, figures.false_alarms) == (2, 1, 3)
    # clips 11 to 14 are the incident; 14 is the first high one: its end is four clips after the incident's start,
    # and its score comes two clips later
    assert figures.delays == pytest.approx([(4 + 2) * 0.64])
    # three clips (2 s) on either side of an incident are not ordinary
    ordinary = (27 - 10) + (10 - 8) + 10
    assert figures.ordinary_hours == pytest.approx(ordinary * 0.64 / 3600)
    assert figures.false_alarms_an_hour == pytest.approx(3 / figures.ordinary_hours)
    assert figures.false_alarms_an_hour_bound == pytest.approx(7.7537 / figures.ordinary_hours, rel=1e-4)
    assert figures.time_in_alarm == pytest.approx(4 / ordinary)
    high, anomalous = 7, 6
    hits = 1  # anomalous clips that score high
    pairs = anomalous * (47 - anomalous)
    won = hits * (47 - anomalous - (high - hits)) + 0.5 * (
        hits * (high - hits) + (anomalous - hits) * (47 - anomalous - (high - hits))
    )
    assert figures.auc == pytest.approx(won / pairs)


def test_another_frame_rate_moves_every_time() -> None:
    figures = live_figures([timeline("a", "....##....", "....##....")], 0, 0.5, frames_per_second=16)
    assert figures.delays == (1.0,)
    assert figures.ordinary_hours == pytest.approx((10 - 2 - 2 * 2) / 3600)


def test_no_alarm_and_nothing_to_find() -> None:
    figures = live_figures([timeline("a", "." * 100, "." * 100)], 0, 0.5, frames_per_second=25)
    assert (figures.incidents, figures.false_alarms, figures.delays) == (0, 0, ())
    assert figures.false_alarms_an_hour == 0
    assert figures.false_alarms_an_hour_bound == pytest.approx(3 / (64 / 3600), rel=2e-3)
    assert math.isnan(figures.auc)


def test_no_ordinary_time() -> None:
    figures = live_figures([timeline("a", "##", "##")], 0, 0.5, frames_per_second=25)
    assert figures.found == 1
    assert math.isnan(figures.false_alarms_an_hour)
    assert math.isnan(figures.time_in_alarm)


def test_a_clip_with_one_anomalous_frame_is_anomalous() -> None:
    labels = np.zeros(50, bool)
    labels[[15, 49]] = True  # frame 49 lies past the third clip and belongs to it
    assert clip_labels(labels, 3).tolist() == [True, False, True]
    assert clip_labels(labels[:33], 4).tolist() == [True, False, False, False]


@pytest.mark.parametrize(("events", "bound"), [(0, 2.9957), (1, 4.7439), (10, 16.9622)])
def test_poisson_bounds_of_the_textbooks(events: int, bound: float) -> None:
    assert poisson_bound(events) == pytest.approx(bound, abs=1e-4)


def test_f1_of_alarms_within_ten_seconds() -> None:
    """One incident found in time, one too late, and an alarm without an incident."""

    def marks(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.array([mark == "#" for mark in text])

    labels = [marks("..####......"), marks("#######.....")]
    above = [marks("...#.#...#.."), marks("....##......")]
    # the second alarm of the first incident is ignored; false: at 9 in the first, and the late one of the second
    assert ilids_f1(labels, above, within=2) == pytest.approx(2 * 1 / (2 + 1 + 2))
    assert ilids_f1(labels, above, within=4) == pytest.approx(2 * 2 / (2 + 2 + 1))
    assert math.isnan(ilids_f1([marks("...")], [marks("...")], within=2))
    assert ilids_f1([marks("...")], [marks("#..")], within=2) == 0.0


def test_false_alarms_a_day_are_those_of_24_hours() -> None:
    """A false alarm in an ordinary video of 1,000 clips of 0.64 s."""
    scores = np.zeros(1000, np.float32)
    scores[500] = 1.0
    found = live_figures([ScoredVideo("a", scores, np.zeros(16000, bool))], 0, 0.5, 25.0)
    assert found.false_alarms_a_day == pytest.approx(86400 / 640)
    assert found.false_alarms_a_day_bound == pytest.approx(24 * found.false_alarms_an_hour_bound)
