"""Losses of weakly supervised training: the paper's equations 8 to 10, their released form, RTFM's and Sultani's.

Shapes: N videos of one class in a batch, T clips, P crops, k selected clips, D width of the last features. The paper
swaps the names of two formulas of Sultani et al. (2018): its L_ts ("smoothness") is a sum of scores, and its L_sp
("sparsity") a sum of squared steps. Here each name describes what the formula does. Both weights are 1 in the paper, so
its total is the same.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def top_k(magnitudes: Tensor, k: int, dropout: float = 0.0) -> Tensor:
    """Indices (N, k) of the clips of largest magnitude (N, T); fewer if T < k.

    `dropout` excludes each clip from the selection with that probability, as in the released training (0.7).
    """
    if dropout:
        magnitudes = functional.dropout(magnitudes, dropout)
    return magnitudes.topk(min(k, magnitudes.shape[1]), dim=1).indices


def selected_features(features: Tensor, selected: Tensor) -> Tensor:
    """Features (N, P, T, D) of the selected clips (N, k), as rows (P * N, k, D): all videos of the first crop first.

    The order matters to `magnitude_contrastive_released`, which pairs rows by index. With ten crops it pairs the five
    crops of a video with their mirror images; with one crop, the first half of the videos with the second.
    """
    index = selected[:, None, :, None].expand(-1, features.shape[1], -1, features.shape[3])
    return features.gather(2, index).transpose(0, 1).flatten(0, 1)


def mean_logit(logits: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """The logit of the mean probability over `dim`: log p - log(1 - p) with p = mean of sigmoid(logits).

    Computed from logarithms, so that p may round to 0 or 1 without losing the gradient.
    """
    log_p = torch.logsumexp(functional.logsigmoid(logits), dim)
    log_not_p = torch.logsumexp(functional.logsigmoid(-logits), dim)
    return log_p - log_not_p  # both lack the logarithm of the same count


def selected_logit(logits: Tensor, selected: Tensor) -> Tensor:
    """The video-level logit (N,) of the mean score over crops and selected clips, from logits (N, P, T) and (N, k)."""
    index = selected[:, None].expand(-1, logits.shape[1], -1)  # (N, P, k)
    return mean_logit(logits.gather(2, index), (1, 2))


def sigmoid_cross_entropy(video_logits: Tensor, labels: Tensor) -> Tensor:
    """L_sce: cross-entropy of video-level logits (N,) with labels (N,) in {0, 1}, mean over videos.

    The paper writes it for the score of a clip with the label of its video. Applied to every clip, it would call the
    normal clips of abnormal videos abnormal. Our reading, as in the authors' code and in RTFM: the score is the mean of
    the video's top-k clips, those that L_mc selects (see `selected_logit`).
    """
    return functional.binary_cross_entropy_with_logits(video_logits, labels)


def magnitude_contrastive(
    normal: Tensor, abnormal: Tensor, margin: float, pairs: Literal["sum", "mean"] = "sum"
) -> Tensor:
    """L_mc of equations 8 to 10 on the top-k magnitudes (N, k) of normal and of abnormal videos.

    Our reading: the distance of two videos of one class is that of their nearest selected magnitudes (eq. 9), and of
    two classes that of their farthest (eq. 10), although the text calls the selecting function a mean, because the
    equations minimise and maximise over single clips. Differences are absolute, because the minimum of signed ones
    would reward inequality. The last term of eq. 8 is a hinge, because nothing is gained beyond the margin. A video
    paired with itself has distance 0. The paper states no margin.

    `pairs`: "sum" over ordered pairs, as eq. 8 is written: with 8 + 8 videos, 56 pairs within each class and 64 between
    them. "mean" takes the mean of each of the three terms, so that the weight does not depend on the batch.
    """

    def distances(a: Tensor, b: Tensor) -> Tensor:
        return (a[:, None, :, None] - b[None, :, None, :]).abs().flatten(2)  # (Na, Nb, k * k)

    def within(x: Tensor) -> Tensor:
        others = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        return reduced(distances(x, x).amin(dim=2)[others])  # (N * (N - 1),)

    def reduced(terms: Tensor) -> Tensor:
        if pairs == "sum" or not terms.numel():
            return terms.sum()
        return terms.mean()

    between = distances(normal, abnormal).amax(dim=2)  # (Nn, Na)
    return within(normal) + within(abnormal) + reduced(functional.relu(margin - between))


def magnitude_contrastive_released(normal: Tensor, abnormal: Tensor, margin: float = 200.0) -> Tensor:
    """The authors' code, on the selected features (N, k, D) with crops as rows; the same number of normal and abnormal
    rows.

    Distances are of L1 norms, by index: abnormal row i with normal row i; within a class, the first half of the rows
    with the second. `0.001 * (0.001 * mean max(0, margin - d)^2 + mean d_a^2 + mean d_n^2)`.
    """
    norm_n, norm_a = normal.abs().sum(dim=2), abnormal.abs().sum(dim=2)  # (N, k)
    half = len(norm_n) // 2

    def spread(norms: Tensor) -> Tensor:
        distances = functional.pairwise_distance(norms[:half], norms[half : 2 * half])
        return distances.square().mean() if half else norms.new_zeros(())

    apart = functional.relu(margin - functional.pairwise_distance(norm_n, norm_a)).square().mean()
    return 0.001 * (0.001 * apart + spread(norm_a) + spread(norm_n))


def rtfm_magnitude(normal: Tensor, abnormal: Tensor, margin: float = 100.0) -> Tensor:
    """RTFM (Tian et al. 2021) on selected features (N, k, D): pushes abnormal magnitudes to `margin`, normal ones to 0.

    Mean over paired videos of (|margin - |mean f_a|| + |mean f_n|)^2. Used by the paper's table 3.
    """
    up = (margin - abnormal.mean(dim=1).norm(dim=1)).abs()
    return (up + normal.mean(dim=1).norm(dim=1)).square().mean()


def smoothness(scores: Tensor) -> Tensor:
    """Squared steps between neighbouring clips, summed over T, mean over videos (N, T): the paper's L_sp."""
    return scores.diff(dim=1).square().sum(dim=1).mean()


def smoothness_released(scores: Tensor) -> Tensor:
    """The authors' code: squared steps between neighbouring clips, summed over T and over all videos (N, T)."""
    return scores.diff(dim=1).square().sum()


def sparsity(scores: Tensor) -> Tensor:
    """Scores summed over T, mean over videos (N, T): an anomaly is short. The paper's L_ts."""
    return scores.sum(dim=1).mean()


def sparsity_released(scores: Tensor) -> Tensor:
    """The authors' code: one L2 norm over the scores (N, T) of all given videos, which are the normal ones there."""
    return scores.square().sum().clamp_min(1e-12).sqrt()


def multiple_instance_ranking(normal: Tensor, abnormal: Tensor) -> Tensor:
    """Sultani et al. (2018): the top score of abnormal videos (N, T) should exceed that of normal ones by 1."""
    return functional.relu(1.0 - abnormal.amax(dim=1)[:, None] + normal.amax(dim=1)[None, :]).mean()
