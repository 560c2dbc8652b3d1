"""Composed streams, streaming metrics, and a training run that learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mgfn.evaluation.scoring import newest_scores
from mgfn.extended import Extended, ExtendedConfig
from mgfn.paper import PaperConfig
from mgfn.training.compose import Composer, Mixture, Stream, Take
from mgfn.training.mil import MilSettings, train
from mgfn.training.streaming import clip_auc, count_alarms, threshold_for

CHANNELS = 64
NETWORK = PaperConfig(CHANNELS, widths=(8, 8))
CONFIG = ExtendedConfig(NETWORK)


def takes(seed: int = 0) -> list[Take]:
    """Cameras with a look of their own; in an incident, channels 0 to 3 are high."""
    rng = np.random.default_rng(seed)
    found = []
    for camera in range(6):
        look = rng.random(CHANNELS)
        for _ in range(4):
            for anomalous in (False, True):
                features = (look + 0.1 * rng.random((3, 1, CHANNELS))).astype(np.float32)
                features[..., :4] += 1.0 * anomalous
                found.append(Take(features, f"camera{camera}", "plain", anomalous))
    return found


def stream(labels: list[int]) -> Stream:
    return Stream(np.zeros((len(labels), 1, CHANNELS), np.float32), np.array(labels, bool), "a")


def scores(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_stream_has_one_incident_of_its_own_camera_or_none() -> None:
    composer = Composer(takes(), Mixture(tampering=0.0), np.random.default_rng(0))
    for length in (2, 5, 32):
        ordinary, incident = composer.stream(length, False), composer.stream(length, True)
        assert ordinary.features.shape == incident.features.shape == (length, 1, CHANNELS)
        assert not ordinary.labels.any()
        edges = np.diff(np.r_[False, incident.labels, False].astype(int))
        assert (edges == 1).sum() == 1
        # the marked clips are the anomalous ones: their first channels stand out
        high = incident.features[:, 0, :4].mean(axis=1) > 1.2
        assert high[incident.labels].mean() > 0.8
        assert high[~incident.labels].mean() < 0.2 if (~incident.labels).any() else True


def test_composing_is_seeded() -> None:
    one, two = (Composer(takes(), Mixture(tampering=0.0), np.random.default_rng(3)).stream(32, True) for _ in "12")
    np.testing.assert_array_equal(one.features, two.features)


def test_alarms_by_hand() -> None:
    # clips of one second; the incident is clips 5 and 6; two seconds on each side belong to it
    labels = [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    values = [0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.9, 0.1]
    alarms = count_alarms([stream(labels)], [scores(values)], 0.5, seconds=1.0)
    assert (alarms.incidents, alarms.found, alarms.delays) == (1, 1, (2.0,))
    assert alarms.false_alarms == 2
    assert alarms.ordinary_seconds == 6.0
    assert alarms.ordinary_seconds_in_alarm == 3.0
    assert alarms.false_per_three_minutes == pytest.approx(60.0)


def test_the_threshold_keeps_the_rate() -> None:
    labels = [0] * 180
    values = np.linspace(0.0, 0.5, 180)
    values[::2] = 0.0
    threshold = threshold_for([stream(labels)], [scores(list(values))], 1.0)
    assert count_alarms([stream(labels)], [scores(list(values))], threshold, 1.0).false_alarms <= 1
    lower = count_alarms([stream(labels)], [scores(list(values))], threshold - 0.01, 1.0)
    assert lower.false_alarms > 1


def test_auc_by_hand() -> None:
    assert clip_auc([stream([0, 0, 1, 1])], [scores([0.1, 0.4, 0.35, 0.8])]) == 0.75
    assert clip_auc([stream([0, 1])], [scores([0.5, 0.5])]) == 0.5


def test_stepping_a_window_equals_each_window_alone() -> None:
    head = Extended(CONFIG).eval()
    features = np.random.default_rng(0).random((40, 1, CHANNELS), dtype=np.float32)
    import torch

    with torch.inference_mode():
        expected = [
            float(head(torch.from_numpy(features[max(0, end - 32) : end])[None]).scores[0, -1]) for end in range(1, 41)
        ]
    np.testing.assert_allclose(newest_scores(head, features), expected, atol=1e-5)


@pytest.mark.slow
def test_training_learns_and_repeats_itself() -> None:
    settings = MilSettings(steps=80, videos=8, learning_rate=3e-3)
    config = ExtendedConfig(dataclasses.replace(NETWORK, dropout=0.1))
    heads = []
    for _ in range(2):
        composer = Composer(takes(), Mixture(tampering=0.0), np.random.default_rng(0))
        heads.append(train(config, composer, settings, seed=0))
    unseen = Composer(takes(seed=1), Mixture(tampering=0.0), np.random.default_rng(1))
    streams = [unseen.stream(48, anomalous=bool(i % 2)) for i in range(10)]
    values = [newest_scores(heads[0], s.features) for s in streams]
    assert clip_auc(streams, values) > 0.9
    np.testing.assert_array_equal(values[0], newest_scores(heads[1], streams[0].features))


def test_a_stretch_is_of_recordings_that_come_nowhere_else() -> None:
    """A camera with two recordings, told apart by their one value: one is usual, the other a stretch."""
    recordings = [Take(np.full((3, 1, 1), value, np.float32), "a", "plain", False, f"v{value}") for value in (1, 2)]
    mixture = Mixture(scene_change=0.0, disturbance=0.0, novelty=0.0, stretch=1.0)
    composer = Composer(recordings, mixture, np.random.default_rng(0))
    usual = set()
    for _ in range(20):
        stream = composer.stream(64, False)
        values = stream.features[:, 0, 0]
        rare = values != np.median(values)
        assert 3 <= rare.sum() <= 14
        assert np.ptp(np.flatnonzero(rare)) == rare.sum() - 1
        assert not stream.labels.any()
        usual.add(float(np.median(values)))
    assert usual == {1.0, 2.0}
    assert composer.kinds == (False, True)
    assert Composer(recordings, Mixture(tampering=0.0), np.random.default_rng(0)).kinds == (False,)
