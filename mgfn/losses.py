"""Losses of weakly supervised training: the paper's equations 8 to 10, their released form, and RTFM's.

Shapes: N videos of one class in a batch, T clips, k selected clips, D width of the last features. The paper swaps
the names of two formulas of Sultani et al. (2018): its "smoothness" is a sum of scores and its "sparsity" a sum of
squared steps. Here each name goes with what it does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def top_k(magnitudes: Tensor, k: int, dropout: float = 0.0) -> Tensor:
    """Indices (N, k) of the clips of largest magnitude (N, T); fewer where T < k.

    `dropout` hides each clip from the selection with that probability, as the released training does (0.7).
    """
    if dropout:
        magnitudes = functional.dropout(magnitudes, dropout)
    return magnitudes.topk(min(k, magnitudes.shape[1]), dim=1).indices


def selected_score(scores: Tensor, selected: Tensor) -> Tensor:
    """Video-level score (N,): the mean of scores (N, T) at the selected clips (N, k)."""
    return scores.gather(1, selected).mean(dim=1)


def sigmoid_cross_entropy(video_scores: Tensor, labels: Tensor) -> Tensor:
    """L_sce: cross-entropy of video-level scores (N,) in [0, 1] with labels (N,) in {0, 1}."""
    return functional.binary_cross_entropy(video_scores.clamp(1e-6, 1 - 1e-6), labels)


def magnitude_contrastive(normal: Tensor, abnormal: Tensor, margin: float) -> Tensor:
    """L_mc of equations 8 to 10 on the top-k magnitudes (N, k) of normal and of abnormal videos.

    Our reading: the distance of two videos of one class is that of their nearest selected magnitudes (eq. 9), of
    two classes that of their farthest (eq. 10); the last term of eq. 8 is a hinge, since beyond the margin there is
    nothing to gain; and the sums are means over the pairs, so that the weight does not depend on the batch.
    """

    def distances(a: Tensor, b: Tensor) -> Tensor:
        return (a[:, None, :, None] - b[None, :, None, :]).abs().flatten(2)  # (Na, Nb, k * k)

    def within(x: Tensor) -> Tensor:
        others = ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        nearest = distances(x, x).amin(dim=2)[others]
        return nearest.mean() if nearest.numel() else x.new_zeros(())

    between = distances(normal, abnormal).amax(dim=2)
    return within(normal) + within(abnormal) + functional.relu(margin - between).mean()


def magnitude_contrastive_released(normal: Tensor, abnormal: Tensor, margin: float = 200.0) -> Tensor:
    """The authors' code, on the selected features (N, k, D) of crops as rows, normal and abnormal alike many.

    Distances are of L1 norms, by index: abnormal row i with normal row i; within a class the first half of the
    rows with the second. `0.001 * (0.001 * mean max(0, margin - d)^2 + mean d_a^2 + mean d_n^2)`.
    """
    norm_n, norm_a = normal.abs().sum(dim=2), abnormal.abs().sum(dim=2)  # (N, k)
    half = len(norm_n) // 2

    def spread(norms: Tensor) -> Tensor:
        distances = functional.pairwise_distance(norms[:half], norms[half : 2 * half])
        return distances.square().mean() if half else norms.new_zeros(())

    apart = functional.relu(margin - functional.pairwise_distance(norm_n, norm_a)).square().mean()
    return 0.001 * (0.001 * apart + spread(norm_a) + spread(norm_n))


def rtfm_magnitude(normal: Tensor, abnormal: Tensor, margin: float = 100.0) -> Tensor:
    """RTFM (Tian et al. 2021) on selected features (N, k, D): abnormal magnitudes up to `margin`, normal ones to 0.

    Mean over paired videos of (|margin - |mean f_a|| + |mean f_n|)^2. Used by the paper's table 3.
    """
    up = (margin - abnormal.mean(dim=1).norm(dim=1)).abs()
    return (up + normal.mean(dim=1).norm(dim=1)).square().mean()


def smoothness(scores: Tensor) -> Tensor:
    """Squared steps between neighbouring clips, summed over T, mean over videos (N, T)."""
    return scores.diff(dim=1).square().sum(dim=1).mean()


def sparsity(scores: Tensor) -> Tensor:
    """Scores summed over T, mean over videos (N, T): an anomaly is short."""
    return scores.sum(dim=1).mean()


def multiple_instance_ranking(normal: Tensor, abnormal: Tensor) -> Tensor:
    """Sultani et al. (2018): the top score of abnormal videos (N, T) is to exceed that of normal ones by 1."""
    return functional.relu(1.0 - abnormal.amax(dim=1)[:, None] + normal.amax(dim=1)[None, :]).mean()
