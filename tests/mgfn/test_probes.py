"""Linear probes: what they pick of abnormal videos, what they add to the network, what the network learns from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mgfn.evaluation.scoring import newest_scores
from mgfn.extended import Extended
from mgfn.training.compose import Composer, Mixture
from mgfn.training.mil import MilSettings, picked_loss, train
from mgfn.training.probes import Probe, add_probes, fit_probe, ridge, shown, smoothed
from mgfn.training.streaming import clip_auc
from tests.mgfn.test_training import CHANNELS, CONFIG, takes

PROBED = dataclasses.replace(CONFIG, probes=1)


def composer(seed: int) -> Composer:
    return Composer(takes(seed), Mixture(tampering=0.0), np.random.default_rng(seed))


def test_ridge_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 5)), rng.random(80) < 0.3
    weights = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    expected = Ridge(0.7 * 80).fit(x, y, sample_weight=weights)
    slopes, intercept = ridge(torch.from_numpy(x), torch.from_numpy(y.astype(float)), penalty=0.7)
    np.testing.assert_allclose(slopes.numpy(), expected.coef_, rtol=1e-9)
    assert float(intercept) == pytest.approx(expected.intercept_)


def test_neighbours_are_averaged_and_ends_count_twice() -> None:
    values = torch.tensor([[3.0, 5.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(smoothed(values), [9 / 3, 5 / 3, 1 / 3], rtol=1e-6)


def test_three_clips_at_least_are_picked_and_all_above_the_threshold() -> None:
    slopes, zero = torch.tensor([1.0], dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    video = torch.tensor([0.0, 0.0, 0.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0, 1.0])[:, None, None]
    high = Probe(slopes, zero, threshold=5.0).picked(video)
    assert np.flatnonzero(high).size == 3
    assert set(np.flatnonzero(high)) <= {3, 4, 5, 6}
    assert np.flatnonzero(Probe(slopes, zero, threshold=1.5).picked(video)).tolist() == [3, 4, 5, 6]
    assert Probe(slopes, zero, threshold=5.0).picked(video[:2]).all()


def test_labels_of_whole_videos_let_a_probe_pick_the_incidents_clips() -> None:
    head = Extended(PROBED).eval().requires_grad_(False)
    probe = fit_probe(head, composer(0), tampering=False, streams=80)
    streams = [composer(1).stream(32, True) for _ in range(10)]
    picked = np.concatenate([probe.picked(shown(head, stream.features)) for stream in streams])
    labels = np.concatenate([stream.labels for stream in streams])
    assert (picked & labels).sum() > 0.9 * picked.sum()
    assert (picked & labels).sum() > 0.7 * labels.sum()


def test_probes_are_added_to_the_networks_logit() -> None:
    head = Extended(dataclasses.replace(CONFIG, probes=2)).eval().requires_grad_(False)
    bare = Extended(CONFIG).eval().requires_grad_(False)
    bare.load_state_dict({name: value for name, value in head.state_dict().items() if not name.startswith("probes")})
    x = torch.rand(2, 3, 1, CHANNELS)
    probed = x[:, :, 0] @ head.get_parameter("probes.weight")[..., 0].T + head.get_parameter("probes.bias")
    expected = torch.sigmoid(bare(x).scores.logit() + torch.log(torch.exp(probed).sum(dim=-1)))
    torch.testing.assert_close(head(x).scores, expected)


def test_probes_find_incidents_of_other_cameras() -> None:
    head = Extended(PROBED).eval().requires_grad_(False)
    probe = fit_probe(head, composer(0), tampering=False, streams=80)
    add_probes(head, [probe], network_share=0.0)
    streams = [composer(1).stream(40, bool(i % 2)) for i in range(6)]
    assert clip_auc(streams, [newest_scores(head, s.features) for s in streams]) > 0.99
    with pytest.raises(ValueError, match="2 probes for 1 kinds of incident"):
        add_probes(Extended(dataclasses.replace(CONFIG, probes=2)), [probe], 0.5)


def test_the_loss_of_picked_clips_by_hand() -> None:
    head = Extended(CONFIG).eval().requires_grad_(False)
    streams = [composer(0).stream(8, abnormal) for abnormal in (False, True)]
    probe = fit_probe(head, composer(0), tampering=False, streams=80)
    scores = head(torch.from_numpy(np.stack([s.features for s in streams]))).scores.numpy().astype(float)
    labels = np.stack([np.zeros(8, bool), probe.picked(shown(head, streams[1].features))])
    expected = -(np.log(scores[labels]).mean() + np.log(1 - scores[~labels]).mean()) / 2
    loss = picked_loss(head, streams, {False: probe}, MilSettings(smoothness=0.0))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_truth_of_clips_is_not_looked_at() -> None:
    head = Extended(CONFIG).eval().requires_grad_(False)
    streams = [composer(0).stream(32, abnormal) for abnormal in (False, True)]
    probe = fit_probe(head, composer(0), tampering=False, streams=40)
    elsewhere = np.roll(streams[1].labels, 7)
    moved = [streams[0], dataclasses.replace(streams[1], labels=elsewhere)]
    of_both = [picked_loss(head, pair, {False: probe}, MilSettings()) for pair in (streams, moved)]
    assert float(of_both[0]) == float(of_both[1])


@pytest.mark.slow
def test_training_by_picked_clips_and_probes() -> None:
    settings = MilSettings(steps=60, videos=8, learning_rate=3e-3)
    head = train(dataclasses.replace(PROBED, smoothing=2), composer(0), settings, seed=0)
    assert (head.config.probes, head.config.smoothing) == (1, 2)
    streams = [composer(1).stream(40, bool(i % 2)) for i in range(6)]
    assert clip_auc(streams, [newest_scores(head, s.features) for s in streams]) > 0.9
