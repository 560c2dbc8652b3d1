"""Linear probes beside the network, and labels of single clips."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from mgfn.network import Mgfn
from mgfn.training.compose import Composer, Mixture
from mgfn.training.mil import MilSettings, clip_loss, train
from mgfn.training.probes import fit_probes, ridge
from mgfn.training.streaming import clip_auc, newest_scores
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


def test_probes_are_added_to_the_networks_logit() -> None:
    head = Mgfn(dataclasses.replace(CONFIG, probes=2)).eval().requires_grad_(False)
    bare = Mgfn(CONFIG).eval().requires_grad_(False)
    bare.load_state_dict({name: value for name, value in head.state_dict().items() if not name.startswith("probes")})
    x = torch.rand(2, 3, 1, CHANNELS)
    probed = x[:, :, 0] @ head.get_parameter("probes.weight")[..., 0].T + head.get_parameter("probes.bias")
    expected = torch.sigmoid(bare(x).scores.logit() + torch.log(torch.exp(probed).sum(dim=-1)))
    torch.testing.assert_close(head(x).scores, expected)


def test_probes_find_incidents_of_other_cameras() -> None:
    head = Mgfn(PROBED).eval().requires_grad_(False)
    fit_probes(head, composer(0), network_share=0.0, streams=40)
    streams = [composer(1).stream(40, bool(i % 2)) for i in range(6)]
    assert clip_auc(streams, [newest_scores(head, s.features) for s in streams]) > 0.99
    with pytest.raises(ValueError, match="2 probes for 1 kinds of incident"):
        fit_probes(Mgfn(dataclasses.replace(CONFIG, probes=2)), composer(0), 0.5)


def test_clip_loss_by_hand() -> None:
    head = Mgfn(CONFIG).eval().requires_grad_(False)
    streams = [composer(0).stream(8, abnormal) for abnormal in (False, True)]
    scores = head(torch.from_numpy(np.stack([s.features for s in streams]))).scores.numpy().astype(float)
    labels = np.stack([s.labels for s in streams])
    expected = -(np.log(scores[labels]).mean() + np.log(1 - scores[~labels]).mean()) / 2
    assert float(clip_loss(head, streams, MilSettings(smoothness=0.0))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_training_with_labels_of_clips_and_probes() -> None:
    settings = MilSettings(steps=60, videos=8, learning_rate=3e-3, clip_labels=True)
    head = train(dataclasses.replace(PROBED, smoothing=2), composer(0), settings, seed=0)
    assert (head.config.probes, head.config.smoothing) == (1, 2)
    streams = [composer(1).stream(40, bool(i % 2)) for i in range(6)]
    assert clip_auc(streams, [newest_scores(head, s.features) for s in streams]) > 0.9
