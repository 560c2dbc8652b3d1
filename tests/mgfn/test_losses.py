"""Losses against hand-worked numbers and direct renderings of the equations."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pytest
import torch

from mgfn import losses


def test_top_k_takes_the_largest_and_all_where_there_are_fewer() -> None:
    magnitudes = torch.tensor([[1.0, 5.0, 3.0, 4.0], [9.0, 1.0, 2.0, 8.0]])
    assert losses.top_k(magnitudes, 3).tolist() == [[1, 3, 2], [0, 3, 2]]
    assert losses.top_k(magnitudes[:, :2], 3).shape == (2, 2)


def test_dropout_hides_clips_from_the_selection() -> None:
    torch.manual_seed(0)
    magnitudes = torch.arange(1.0, 33.0).repeat(200, 1)
    chosen = losses.top_k(magnitudes, 1, dropout=0.7)
    assert float((chosen == 31).float().mean()) == pytest.approx(0.3, abs=0.1)


def test_video_score_and_cross_entropy_by_hand() -> None:
    scores = torch.tensor([[[0.1, 0.9, 0.5]], [[0.2, 0.4, 0.6]]])  # video, crop, clip
    video = losses.selected_logit(scores.logit(), torch.tensor([[1, 2], [0, 1]]))
    torch.testing.assert_close(video.sigmoid(), torch.tensor([0.7, 0.3]))
    expected = -(np.log(0.7) + np.log(1 - 0.3)) / 2
    assert float(losses.sigmoid_cross_entropy(video, torch.tensor([1.0, 0.0]))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("logit", "label"), [(16.0, 0.0), (-16.0, 1.0), (60.0, 0.0), (-60.0, 1.0)])
def test_a_confidently_wrong_video_has_the_full_gradient(logit: float, label: float) -> None:
    """At logit 16 the float32 score rounds to 1 - 1e-7: a clamp there made this gradient 0 instead of 1."""
    logits = torch.full((1, 2, 3), logit, requires_grad=True)  # two crops, three clips, all alike
    video = losses.selected_logit(logits, torch.tensor([[0, 2]]))
    loss = losses.sigmoid_cross_entropy(video, torch.tensor([label]))
    assert float(loss.detach()) == pytest.approx(abs(logit), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(logits.grad[0, :, [0, 2]].abs(), 0.25, rtol=1e-4)  # shared by the clips selected
    assert not logits.grad[0, :, 1].any()


def test_the_mean_logit_is_the_logit_of_the_mean_score() -> None:
    logits = torch.linspace(-5, 5, 24, dtype=torch.float64).reshape(2, 3, 4)
    expected = logits.sigmoid().mean(dim=1).logit()
    torch.testing.assert_close(losses.mean_logit(logits, 1), expected)


def contrast_by_loops(normal: np.ndarray, abnormal: np.ndarray, margin: float, pairs: str) -> float:
    """Equations 8 to 10, pair by pair."""
    total = np.sum if pairs == "sum" else np.mean

    def nearest(a: np.ndarray, b: np.ndarray) -> float:
        return min(abs(x - y) for x in a for y in b)

    def farthest(a: np.ndarray, b: np.ndarray) -> float:
        return max(abs(x - y) for x in a for y in b)

    same_n = total([nearest(normal[p], normal[q]) for p, q in itertools.permutations(range(len(normal)), 2)])
    same_a = total([nearest(abnormal[u], abnormal[v]) for u, v in itertools.permutations(range(len(abnormal)), 2)])
    apart = total([max(0.0, margin - farthest(n, a)) for n in normal for a in abnormal])
    return float(same_n + same_a + apart)


@pytest.mark.parametrize("pairs", ["sum", "mean"])
def test_magnitude_contrast_is_equations_8_to_10(pairs: Literal["sum", "mean"]) -> None:
    rng = np.random.default_rng(0)
    normal, abnormal = rng.random((4, 3)), 1 + rng.random((5, 3))
    value = losses.magnitude_contrastive(torch.tensor(normal), torch.tensor(abnormal), 1.5, pairs)
    assert float(value) == pytest.approx(contrast_by_loops(normal, abnormal, 1.5, pairs))


def test_the_sum_is_the_mean_times_the_number_of_pairs() -> None:
    """Eight videos of each class, by hand: 56 ordered pairs within a class, 64 between the classes."""
    equal, spread = torch.full((8, 3), 5.0), torch.tensor([0.0, 2.0] * 4)[:, None]

    def contrast(normal: torch.Tensor, abnormal: torch.Tensor, pairs: Literal["sum", "mean"]) -> float:
        return float(losses.magnitude_contrastive(normal, abnormal, 8.0, pairs))

    # all equal: only the margin is left, 8 for each of the 64 pairs
    assert contrast(equal, equal, "mean") == pytest.approx(8.0)
    assert contrast(equal, equal, "sum") == pytest.approx(64 * 8.0)
    # magnitudes 0 and 2 by turns, 100 away from the others: 32 of the 56 ordered pairs are 2 apart
    assert contrast(spread, spread + 100, "mean") == pytest.approx(2 * 64 / 56)
    assert contrast(spread, spread + 100, "sum") == pytest.approx(2 * 64)


@pytest.mark.parametrize("pairs", ["sum", "mean"])
def test_magnitude_contrast_of_one_video_each_has_only_the_margin(pairs: Literal["sum", "mean"]) -> None:
    value = losses.magnitude_contrastive(torch.tensor([[1.0]]), torch.tensor([[1.5]]), 2.0, pairs)
    assert float(value) == pytest.approx(1.5)


def test_released_contrast_by_loops() -> None:
    rng = np.random.default_rng(0)
    normal, abnormal = rng.random((6, 3, 8)), 3 * rng.random((6, 3, 8))
    norm_n, norm_a = np.abs(normal).sum(2), np.abs(abnormal).sum(2)

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(((a - b + 1e-6) ** 2).sum()))

    apart = np.mean([max(0.0, 50.0 - distance(norm_n[i], norm_a[i])) ** 2 for i in range(6)])
    spread_a = np.mean([distance(norm_a[i], norm_a[i + 3]) ** 2 for i in range(3)])
    spread_n = np.mean([distance(norm_n[i], norm_n[i + 3]) ** 2 for i in range(3)])
    expected = 0.001 * (0.001 * apart + spread_a + spread_n)
    value = losses.magnitude_contrastive_released(torch.tensor(normal), torch.tensor(abnormal), margin=50.0)
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_released_contrast_of_one_row_has_no_pair_within_its_class() -> None:
    row = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])  # L1 norms 3 and 7; d is the root of two squared 1e-6
    assert float(losses.magnitude_contrastive_released(row, row, margin=2.0)) == pytest.approx(1e-6 * 4, rel=1e-4)


def test_rtfm_by_hand() -> None:
    normal = torch.tensor([[[3.0, 4.0], [3.0, 4.0]]])  # |mean| = 5
    abnormal = torch.tensor([[[6.0, 8.0], [6.0, 8.0]]])  # |mean| = 10
    assert float(losses.rtfm_magnitude(normal, abnormal, margin=100.0)) == pytest.approx((90 + 5) ** 2)


def test_smoothness_and_sparsity_do_what_their_names_say() -> None:
    scores = torch.tensor([[0.0, 1.0, 0.5], [0.2, 0.2, 0.2]])
    assert float(losses.smoothness(scores)) == pytest.approx((1.0 + 0.25) / 2)
    assert float(losses.sparsity(scores)) == pytest.approx((1.5 + 0.6) / 2)


def test_released_regularisers_are_sums_over_the_batch() -> None:
    scores = torch.tensor([[0.0, 1.0, 0.5], [0.2, 0.2, 0.2]])
    assert float(losses.smoothness_released(scores)) == pytest.approx(1.0 + 0.25)  # no step between videos
    assert float(losses.sparsity_released(scores)) == pytest.approx(np.sqrt(1.0 + 0.25 + 3 * 0.04))
    zero = torch.zeros(2, 3, requires_grad=True)
    losses.sparsity_released(zero).backward()
    assert zero.grad is not None
    assert torch.isfinite(zero.grad).all()


def test_selected_features_are_rows_with_all_videos_of_a_crop_together() -> None:
    features = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4, 1)  # video, crop, clip
    rows = losses.selected_features(features, torch.tensor([[3, 0], [1, 2]]))
    assert rows[..., 0].tolist() == [[3, 0], [13, 14], [7, 4], [17, 18], [11, 8], [21, 22]]


def test_ranking_by_hand() -> None:
    normal, abnormal = torch.tensor([[0.1, 0.3]]), torch.tensor([[0.2, 0.9], [0.0, 0.1]])
    assert float(losses.multiple_instance_ranking(normal, abnormal)) == pytest.approx((0.4 + 1.2) / 2)
