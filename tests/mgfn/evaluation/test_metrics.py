"""Figures against hand-worked numbers and against scikit-learn on frames written out one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from mgfn.evaluation.metrics import Frames, ScoredVideo, bootstrap, by_class, classes_of
from mgfn.evaluation.videos import Protocol


def video(name: str, scores: list[float], labels: list[int], frames: int = 16) -> ScoredVideo:
    """A video whose labels are given by clip."""
    return ScoredVideo(name, np.array(scores, np.float32), np.repeat(np.array(labels, bool), frames))


def test_both_average_precisions_by_hand() -> None:
    """Scores 0.9 (anomalous), 0.8, 0.7 (anomalous), 0.6; the same for every frame of a clip.

    Precision at recall 1/2 is 1 and falls to 1/2 before the next anomalous clip, at recall 1 it is 2/3:
    steps: 1/2 * 1 + 1/2 * 2/3; trapezoids: 1/2 * (1 + 1) / 2 + 1/2 * (1/2 + 2/3) / 2.
    """
    measures = Frames([video("Abuse1", [0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])]).measure()
    assert measures.average_precision == pytest.approx(1 / 2 + 1 / 3)
    assert measures.precision_recall_trapezoid == pytest.approx(1 / 2 + 7 / 24)
    assert measures.auc == pytest.approx(3 / 4)  # of four pairs of clips one is the wrong way round
    assert measures.auc_abnormal_videos == measures.auc
    assert math.isnan(measures.false_alarm_rate)


def test_figures_over_videos_by_hand() -> None:
    abnormal = video("Abuse1", [0.9, 0.2], [1, 0])
    normal = video("Normal_Videos_1", [0.5, 0.49, 0.95, 0.1], [0, 0, 0, 0])
    measures = Frames([abnormal, normal]).measure()
    assert measures.auc == pytest.approx(4 / 5)
    assert measures.auc_abnormal_videos == 1.0
    assert measures.false_alarm_rate == pytest.approx(2 / 4)  # 0.5 itself is an alarm


def test_scores_are_repeated_over_16_frames() -> None:
    rng = np.random.default_rng(0)
    videos, scores, labels = [], [], []
    for index, surplus in enumerate((0, -16, -3, 5, 16)):
        values = (rng.integers(0, 6, 7) / 5).astype(np.float32)  # few values: many ties
        label = rng.random(7 * 16 + surplus) < 0.3
        videos.append(ScoredVideo(f"Abuse{index}", values, label))
        written_out = np.r_[np.repeat(values, 16), np.repeat(values[-1], 16)]
        scores.append(written_out[: len(label)])
        labels.append(label)
    score, truth = np.concatenate(scores), np.concatenate(labels)
    precision, recall, _ = precision_recall_curve(truth, score)
    frames = Frames(videos)
    measures = frames.measure()
    assert frames.counts.sum() == len(truth)
    assert measures.auc == pytest.approx(roc_auc_score(truth, score))
    assert measures.average_precision == pytest.approx(average_precision_score(truth, score))
    assert measures.precision_recall_trapezoid == pytest.approx(auc(recall, precision))


def test_a_video_taken_twice_counts_twice() -> None:
    videos = [video(f"Abuse{i}", [0.1 * i, 0.5, 0.9 - 0.2 * i], [0, 1, i % 2]) for i in range(3)]
    times = np.array([2, 0, 1])
    assert Frames(videos).measure(times) == Frames([videos[0], videos[0], videos[2]]).measure()


def test_what_is_not_defined_is_no_number() -> None:
    measures = Frames([video("Normal_Videos_1", [0.1, 0.9], [0, 0])]).measure()
    assert measures.false_alarm_rate == 0.5
    for name in ("auc", "average_precision", "precision_recall_trapezoid", "auc_abnormal_videos"):
        assert math.isnan(getattr(measures, name))


def test_the_bootstrap_is_seeded_and_draws_videos() -> None:
    rng = np.random.default_rng(1)
    videos = [video(f"Abuse{i}", list(rng.random(4)), [0, 1, 1, 0]) for i in range(8)]
    videos += [video(f"Normal_Videos_{i}", list(0.8 * rng.random(4)), [0] * 4) for i in range(8)]
    frames = Frames(videos)
    first = bootstrap(frames, 10, seed=0)
    assert first == bootstrap(frames, 10, seed=0)
    assert first != bootstrap(frames, 10, seed=1)
    measures = frames.measure()
    for name, interval in first.items():
        assert interval.low < getattr(measures, name) < interval.high
    # every video alike: drawing others changes nothing
    same = Frames([video(f"Abuse{i}", [0.9, 0.8, 0.7], [1, 0, 1]) for i in range(5)])
    intervals = bootstrap(same, 5, seed=0)
    assert intervals["auc"].low == intervals["auc"].high == pytest.approx(0.5)
    assert math.isnan(intervals["false_alarm_rate"].low)


@pytest.mark.parametrize(
    ("protocol", "name", "classes"),
    [
        ("ucf-crime", "RoadAccidents001_x264_i3d", ("RoadAccidents",)),
        ("ucf-crime", "Normal_Videos_003_x264", ("Normal",)),
        ("ucf-crime", "001", ()),
        ("xd-violence", "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6", ("Explosion", "Shooting", "CarAccident")),
        ("xd-violence", "v=abc__#1_label_B1-0-0", ("Fighting",)),
        ("xd-violence", "About.Time.2013__#00-23-50_00-24-31_label_A", ()),
        ("xd-violence", "G-without-a-label", ()),
    ],
)
def test_classes_by_name(protocol: str, name: str, classes: tuple[str, ...]) -> None:
    assert classes_of(Protocol(protocol), name) == classes


def test_auc_by_class() -> None:
    videos = [
        video("Arson1", [0.9, 0.4], [1, 0]),
        video("Abuse1", [0.3, 0.6], [1, 0]),
        video("Abuse2", [0.7, 0.1], [1, 0]),
        video("Arrest1", [0.7, 0.1], [0, 0]),  # nothing of it is labelled: counts as normal
        video("Normal_Videos_1", [0.95, 0.2], [0, 0]),
    ]
    abuse, arson = by_class(Protocol.UCF_CRIME, videos)
    assert (abuse.name, abuse.videos, arson.name, arson.videos) == ("Abuse", 2, "Arson", 1)
    assert abuse.alone == pytest.approx(3 / 4)  # 0.3 < 0.6
    assert arson.alone == 1.0
    assert arson.with_normal == pytest.approx(4 / 5)  # 0.9 < 0.95
