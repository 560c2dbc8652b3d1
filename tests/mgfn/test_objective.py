"""The whole loss of a batch, as configurations ask for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mgfn.network import MgfnOutput
from mgfn.training.config import LossSettings, MgfnSettings
from mgfn.training.objective import loss_terms


def batch(seed: int = 0, videos: int = 2, crops: int = 2, clips: int = 6, width: int = 4) -> MgfnOutput:
    rng = torch.Generator().manual_seed(seed)
    features = torch.rand(2 * videos, crops, clips, width, generator=rng)
    logits = 3 * torch.randn(2 * videos, crops, clips, generator=rng)
    return MgfnOutput(logits.sigmoid().mean(dim=1), features.norm(dim=-1).mean(dim=1), features, logits)


@pytest.mark.parametrize(("pairs", "times"), [("mean", (1, 1)), ("sum", (2, 4))])
def test_the_papers_loss_in_numpy(pairs: str, times: tuple[int, int]) -> None:
    """`times`: ordered pairs within a class of two videos, and between two classes."""
    out = batch()
    settings = LossSettings.model_validate(
        {
            "top_k": 3,
            "smoothness": {"weight": 1.0},
            "sparsity": {"weight": 1.0},
            "magnitude": {"form": "contrastive", "pairs": pairs, "weight": 0.001, "margin": 2.0},
        }
    )
    terms = {name: float(value) for name, value in loss_terms(out, settings).items()}
    s, m = out.scores.numpy().astype(float), out.magnitudes.numpy().astype(float)
    top = np.argsort(-m, axis=1)[:, :3]
    video = np.take_along_axis(s, top, 1).mean(1)
    assert terms["cross-entropy"] == pytest.approx(-np.mean(np.log(np.r_[1 - video[:2], video[2:]])), rel=1e-5)
    assert terms["sparsity"] == pytest.approx(s[2:].sum(1).mean(), rel=1e-5)
    assert terms["smoothness"] == pytest.approx((np.diff(s[2:]) ** 2).sum(1).mean(), rel=1e-5)
    k = np.take_along_axis(m, top, 1)

    def gaps(a: int, b: int) -> np.ndarray:
        return np.abs(k[a][:, None] - k[b][None])

    apart = np.mean([max(0.0, 2.0 - gaps(n, a).max()) for n in (0, 1) for a in (2, 3)])
    within = gaps(0, 1).min() + gaps(2, 3).min()
    assert terms["magnitude"] == pytest.approx(0.001 * (times[0] * within + times[1] * apart), rel=1e-4)


def test_clips_of_highest_score_may_stand_for_their_video() -> None:
    out = batch()
    settings = LossSettings.model_validate({"top_k": 2, "choose": "score"})
    best = np.sort(out.scores.numpy().astype(float), axis=1)[:, -2:].mean(axis=1)
    expected = -np.mean(np.log(np.r_[1 - best[:2], best[2:]]))
    assert float(loss_terms(out, settings)["cross-entropy"]) == pytest.approx(expected, rel=1e-5)


def test_the_released_loss_takes_its_own_forms_and_halves() -> None:
    out = batch()
    settings = LossSettings.model_validate(
        {
            "smoothness": {"weight": 0.0008, "of": "all", "form": "released"},
            "sparsity": {"weight": 0.008, "of": "normal", "form": "released"},
            "magnitude": {"form": "contrastive-released", "weight": 1.0, "margin": 200},
        }
    )
    terms = {name: float(value) for name, value in loss_terms(out, settings).items()}
    s = out.scores.numpy().astype(float)
    assert terms["smoothness"] == pytest.approx(0.0008 * (np.diff(s) ** 2).sum(), rel=1e-5)
    assert terms["sparsity"] == pytest.approx(0.008 * np.sqrt((s[:2] ** 2).sum()), rel=1e-5)
    top = np.argsort(-out.magnitudes.numpy(), axis=1)[:, :3]
    norms = np.abs(out.features.numpy().astype(float)).sum(-1)  # (video, crop, clip)
    rows = np.array([[norms[v, c, top[v]] for v in range(4)] for c in range(2)])  # crop, video, k
    normal, abnormal = rows[:, :2].reshape(4, 3), rows[:, 2:].reshape(4, 3)

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(((a - b + 1e-6) ** 2).sum(1)))

    apart = np.mean(np.maximum(0, 200 - distance(normal, abnormal)) ** 2)
    within = sum(np.mean(distance(x[:2], x[2:]) ** 2) for x in (normal, abnormal))
    assert terms["magnitude"] == pytest.approx(0.001 * (0.001 * apart + within), rel=1e-4)


def test_ranking_and_rtfm() -> None:
    out = batch()
    ranking = loss_terms(out, LossSettings(score="ranking", top_k=3, selection_dropout=0.0))
    assert set(ranking) == {"ranking"}
    s = out.scores.numpy()
    pairs = [max(0.0, 1 - s[a].max() + s[n].max()) for a in (2, 3) for n in (0, 1)]
    assert float(ranking["ranking"]) == pytest.approx(np.mean(pairs), rel=1e-5)
    settings = LossSettings.model_validate({"magnitude": {"form": "rtfm", "weight": 0.0001, "margin": 100}})
    top = np.argsort(-out.magnitudes.numpy(), axis=1)[:, :3]
    f = out.features.numpy().astype(float)
    norms = np.array([[np.linalg.norm(f[v, c, top[v]].mean(0)) for v in range(4)] for c in range(2)])
    expected = np.mean((np.abs(100 - norms[:, 2:]) + norms[:, :2]) ** 2)
    assert float(loss_terms(out, settings)["magnitude"]) == pytest.approx(0.0001 * expected, rel=1e-5)


@pytest.mark.parametrize("form", ["contrastive", "contrastive-released", "rtfm"])
def test_gradients_of_every_magnitude_loss_flow_through_feature_amplification(form: str) -> None:
    torch.manual_seed(0)
    head = MgfnSettings(kind="mgfn", structure="GF", alpha=0.1, dropout=0.0).build(64)
    magnitude = {"form": form, "weight": 1.0, "margin": 200}
    settings = LossSettings.model_validate({"magnitude": magnitude})
    terms = loss_terms(head(torch.rand(4, 8, 2, 64)), settings)
    terms["magnitude"].backward()
    gradients = {name: p.grad for name, p in head.named_parameters() if name.startswith("to_mag")}
    assert len(gradients) == 2
    for gradient in gradients.values():
        assert gradient is not None
        assert float(gradient.abs().max()) > 0
