"""The loss of a batch, term by term, according to a configuration."""

from __future__ import annotations

import torch
from torch import Tensor

from mgfn import losses
from mgfn.network import MgfnOutput
from mgfn.training.config import LossSettings, MagnitudeTerm, ScoreTerm


def loss_terms(out: MgfnOutput, settings: LossSettings) -> dict[str, Tensor]:
    """Weighted terms whose sum is the loss; the first half of the batch is normal, the second abnormal.

    `out` is the network's output for (2N, T, P, C). Clips are selected by magnitude, with a separate dropout of the
    selection for each class. The same clips determine a video's score (unless those of highest score are configured)
    and its magnitudes.
    """
    videos = len(out.scores) // 2
    chosen = losses.top_k(out.magnitudes, settings.top_k, settings.selection_dropout)  # (2N, k)
    terms: dict[str, Tensor] = {}
    if settings.score == "ranking":
        terms["ranking"] = losses.multiple_instance_ranking(out.scores[:videos], out.scores[videos:])
    else:
        labels = (torch.arange(2 * videos, device=out.scores.device) >= videos).to(out.scores.dtype)
        standing = chosen if settings.choose == "magnitude" else losses.top_k(out.scores, settings.top_k)
        terms["cross-entropy"] = losses.sigmoid_cross_entropy(losses.selected_logit(out.logits, standing), labels)
    if settings.smoothness is not None:
        smooth = losses.smoothness if settings.smoothness.form == "paper" else losses.smoothness_released
        terms["smoothness"] = settings.smoothness.weight * smooth(_scores(out, settings.smoothness))
    if settings.sparsity is not None:
        sparse = losses.sparsity if settings.sparsity.form == "paper" else losses.sparsity_released
        terms["sparsity"] = settings.sparsity.weight * sparse(_scores(out, settings.sparsity))
    if settings.magnitude is not None:
        terms["magnitude"] = settings.magnitude.weight * _magnitude(out, chosen, settings.magnitude)
    return terms


def _scores(out: MgfnOutput, term: ScoreTerm) -> Tensor:
    videos = len(out.scores) // 2
    return {"normal": out.scores[:videos], "abnormal": out.scores[videos:], "all": out.scores}[term.of]


def _magnitude(out: MgfnOutput, chosen: Tensor, term: MagnitudeTerm) -> Tensor:
    videos, margin = len(out.scores) // 2, term.margin
    if term.form == "contrastive":
        magnitudes = out.magnitudes.gather(1, chosen)
        return losses.magnitude_contrastive(magnitudes[:videos], magnitudes[videos:], margin, term.pairs)
    normal = losses.selected_features(out.features[:videos], chosen[:videos])
    abnormal = losses.selected_features(out.features[videos:], chosen[videos:])
    if term.form == "rtfm":
        return losses.rtfm_magnitude(normal, abnormal, margin)
    return losses.magnitude_contrastive_released(normal, abnormal, margin)
