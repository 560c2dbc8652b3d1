"""The loss of each baseline against numbers worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mgfn.baselines import (
    bn_wvad,
    claws,
    gcl,
    gcn_cleaner,
    gods,
    hl_net,
    ibl,
    mist,
    msl,
    pel4vad,
    ssvdd,
    svm,
    ur_dmu,
    wu_liu,
)


def tensor(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def logit(*values: float) -> list[float]:
    return [math.log(p / (1 - p)) for p in values]


def close(found: Tensor | float, wanted: float) -> None:
    assert float(found) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def entropy(target: float, p: float) -> float:
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def test_hl_net() -> None:
    """Two clips: k = 1, so the top clip is the video. The branches' scores teach the causal ones."""
    logits, causal = tensor(logit(0.1, 0.2), logit(0.5, 0.9)), tensor(logit(0.3, 0.2), logit(0.5, 0.6))
    terms = hl_net.hl_net_loss(logits, causal, tensor(0, 1), distill=5.0)
    close(terms["branches"], (-math.log(0.8) - math.log(0.9)) / 2)
    close(terms["causal"], (-math.log(0.7) - math.log(0.6)) / 2)
    each = entropy(0.1, 0.3) + entropy(0.2, 0.2) + entropy(0.5, 0.5) + entropy(0.9, 0.6)
    close(terms["distillation"], 5 * each / 4)


def test_hl_net_graphs() -> None:
    """Clips at 60 degrees are not alike (cosine 0.5 < 0.7); scores 0 and 1 are as far apart as can be."""
    x = tensor([[1, 0], [0.5, math.sqrt(0.75)]])
    e = math.e
    torch.testing.assert_close(
        hl_net.Similarity(2)(x)[0], tensor([e / (e + 1), 1 / (e + 1)], [1 / (e + 1), e / (e + 1)])
    )
    torch.testing.assert_close(hl_net.Proximity()(x)[0], tensor([1, math.exp(-1 / e)], [math.exp(-1 / e), 1]))
    same, other = 1 / (1 + math.exp(-5)), 1 / (1 + math.exp(5))
    share = math.exp(same) / (math.exp(same) + math.exp(other))
    torch.testing.assert_close(
        hl_net.score_closeness(tensor([0, 1]))[0], tensor([share, 1 - share], [1 - share, share])
    )


def test_msl() -> None:
    """Runs of two: the best are 0.3 (normal) and 0.8 (abnormal)."""
    scores = tensor([0.1, 0.4, 0.2], [0.3, 0.7, 0.9])
    terms = msl.msl_loss(scores, tensor(*logit(0.2, 0.6)), tensor(0, 1), run=2, margin=1.0)
    close(terms["run"], 1 - 0.8 + 0.3)
    close(terms["video"], (-math.log(0.8) - math.log(0.6)) / 2)
    assert [msl.run_length(32, progress) for progress in (0, 0.2, 0.5, 0.99)] == [32, 16, 4, 1]
    assert msl.run_length(1, 0.0) == 1


def test_wu_liu() -> None:
    """Normal clips at 0 and 2, mean 1; the abnormal video's top clip at 1.5 is 0.5 from it, margin 1."""
    features = tensor([[0], [2]], [[1.5], [9]])
    compact, apart = wu_liu.compactness_and_dispersion(features, tensor([0, 0], [3, 1]), k=1, margin=1.0)
    close(compact, 1.0)
    close(apart, 0.25)


def test_wu_liu_relation_sees_its_span_only() -> None:
    torch.manual_seed(0)
    relation, x = wu_liu.Relation(4, span=2), torch.rand(1, 5, 4)
    with torch.no_grad():
        before = relation(x)
        x[0, 2] += 1
        changed = (relation(x) - before).abs().amax(dim=2)[0] > 1e-6
    assert changed.tolist() == [False, False, True, True, False]


def test_ur_dmu_memory() -> None:
    by_normal, by_abnormal = tensor([0.9, 0.1], [0.8, 0.2]), tensor([0.3, 0.1], [0.6, 0.5])
    wanted = -math.log(0.9) - math.log(0.8) - math.log(0.6) - math.log(0.7)
    close(ur_dmu.memory_loss(by_normal, by_abnormal, k=1), wanted)


def test_ur_dmu_triplet_distance_and_kl() -> None:
    n, p, a = tensor([[2, 0], [4, 0]]), tensor([[5, 0]]), tensor([[0, 1]])
    close(ur_dmu.triplet_loss(n, p, a), 0.0)  # 1 + 0 - sqrt 2 < 0
    close(ur_dmu.triplet_loss(n, a, p), 1 + math.sqrt(2))
    close(ur_dmu.distance_loss(n, 10 * a, margin=100.0), 100 - 10 + 3)
    close(ur_dmu.kl_loss(tensor([[1, 0]]), tensor([[0, math.log(2)]])), 0.5 + 0.5 * (2 - 1 - math.log(2)))


def test_ur_dmu_memory_recalls() -> None:
    """Zero products: every item matches by one half."""
    memory = ur_dmu.Memory(3, 2)
    with torch.no_grad():
        memory.items.copy_(tensor([0, 2], [0, 4], [0, 6]))
    with torch.no_grad():
        known, recalled = memory(tensor([[5, 0]]))
    close(known, 0.5)
    assert recalled.tolist() == [[[0.0, 6.0]]]


def test_bn_wvad() -> None:
    norm = nn.BatchNorm1d(2, eps=0.0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(tensor(1, 0))
    norm.running_var.copy_(tensor(4, 1))
    close(bn_wvad.from_mean(tensor([[5, 3]]), norm), math.sqrt(16 / 4 + 9))
    close(bn_wvad.triplet_loss(tensor(1, 3), tensor(2, 4), margin=1.0), 1 + 2 - 3)
    close(bn_wvad.triplet_loss(tensor(1, 3), tensor(1), margin=1.0), 2.0)


def test_bn_wvad_selects_by_video_and_by_batch() -> None:
    """One clip of four of each video, and two of the eight of each class."""
    distance = tensor([9, 8, 7, 6], [1, 2, 3, 4], [0, 0, 0, 1], [5, 4, 3, 2])
    chosen = bn_wvad.selected(distance, video_share=0.25, batch_share=0.25)
    assert chosen.int().tolist() == [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 0, 0]]


def test_pel4vad() -> None:
    """Seventeen clips: k = 2. A normal video counts by its top clip, an abnormal one by its top two."""
    normal, abnormal = logit(*[0.2, 0.4] + [0.1] * 15), logit(*[0.9, 0.5] + [0.1] * 15)
    found = pel4vad.pel4vad_loss(tensor(normal, abnormal), tensor(0, 1))
    close(found, (-math.log(0.6) - math.log(0.7)) / 2)


def test_claws() -> None:
    """Clusters at 0 and 0.4 (distance 0.4) in a normal video, at 0 and 0.7 in an abnormal one."""
    features = tensor([[0], [0.4], [0.4]], [[0], [0], [0.7]])
    close(claws.clustering_distance(features, tensor(0, 1), margin=1.0), (0.4 + 0.3) / 2)
    same = torch.ones(2, 3, 1)
    close(claws.clustering_distance(same, tensor(0, 1), margin=1.0), 0.5)  # one cluster: right in a normal video


def test_claws_suppression() -> None:
    layer = claws.Suppressed(1, 1)
    with torch.no_grad():
        for linear in (layer.layer, layer.gate):
            linear.weight.fill_(1.0)
            linear.bias.zero_()
    out = layer(tensor([[0], [math.log(3)]]))[0, :, 0]
    torch.testing.assert_close(out, tensor(0, 2 * 0.75 * math.log(3)))


def test_gcn_cleaner() -> None:
    scores, labels = tensor([0.1, 0.9, 0.5, 0.4], [0.8, 0.3, 0.6, 0.1]), tensor([0.0] * 4, [1.0] * 4)
    known, confident = gcn_cleaner.confident_labels(scores, labels, share=0.25)
    assert known.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0]]
    assert confident.tolist() == [[True] * 4, [True, False, False, True]]
    logits = torch.zeros(2, 4, 2)
    logits[1, 0, 1] = math.log(3)  # p = 0.75
    close(gcn_cleaner.cleaning_loss(logits, known, confident), (5 * math.log(2) - math.log(0.75)) / 6)
    graph = gcn_cleaner.normalised(tensor([1, 3], [3, 0]))
    torch.testing.assert_close(graph, tensor([0.25, 3 / math.sqrt(12)], [3 / math.sqrt(12), 0]))
    x = tensor([[1, 0], [0, 1]])
    e = math.exp(-1)
    torch.testing.assert_close(gcn_cleaner.similarity(x)[0], tensor([1, e], [e, 1]) / (1 + e))


def test_mist() -> None:
    """Parts of two clips: 0.2 and 0.4 (normal), 0.5 and 0.9 (abnormal); the top part stands for each."""
    scores = tensor([0.1, 0.3, 0.4, 0.4], [0.5, 0.5, 0.8, 1.0])
    ranking, sparse = mist.generator_loss(scores, part_clips=2, top=1)
    close(ranking, 1 - 0.9 + 0.4)
    close(sparse, 0.7)


def test_mist_pseudo_labels() -> None:
    """A single clip of 1 among thirteen, smoothed twice over five, is a triangle of nine clips; normal videos are 0."""
    scores = torch.zeros(2, 13)
    scores[:, 6] = 1.0
    labels = mist.pseudo_labels(scores, tensor(0, 1))
    triangle = [max(0.0, 1 - abs(place - 6) / 5) for place in range(13)]
    torch.testing.assert_close(labels, tensor([0.0] * 13, triangle))


def test_ibl() -> None:
    close(ibl.inner_bag(tensor([0.2, 0.3]), tensor([0.1, 0.7])), 1 - 0.6 + 0.1)
    close(ibl.inner_bag(tensor([0.2, 0.2]), tensor([0.0, 1.0])), 0.0)


def test_svm() -> None:
    """Margins: normal -2 (right by more than 1) and 0.5; abnormal 0.25 and 3."""
    terms = svm.svm_loss(tensor([-2, 0.5], [0.25, 3]), tensor(0, 1), tensor([3, 4]), cost=2.0)
    close(terms["hinge"], 2 * (0 + 1.5 + 0.75 + 0) / 4)
    close(terms["norm"], 25 / 8)


def test_ssvdd() -> None:
    """Points at 0, 1 and 2 on a line: the ball around 1 rests on both ends."""
    y = tensor([0], [1], [2])
    alpha = ssvdd.dual(y, cost=1.0)
    torch.testing.assert_close(alpha, tensor(0.5, 0, 0.5), atol=1e-3, rtol=0)
    close(ssvdd.lagrangian(y, tensor(0.5, 0, 0.5)), 0.5 * 4 - 1)
    torch.testing.assert_close(ssvdd.onto_simplex(tensor(5, 1, 0.9), cap=0.6), tensor(0.6, 0.25, 0.15))


def test_ssvdd_gradient_is_the_published_one() -> None:
    """2 Q X (diag alpha - alpha alpha^T) X^T."""
    torch.manual_seed(0)
    x, q, alpha = torch.rand(5, 3), torch.rand(2, 3, requires_grad=True), torch.rand(5).softmax(dim=0)
    ssvdd.lagrangian(x @ q.T, alpha).backward()
    wanted = 2 * q.detach() @ x.T @ (alpha.diag() - alpha[:, None] @ alpha[None]) @ x
    torch.testing.assert_close(q.grad, wanted)


def test_gods() -> None:
    """Two clips, two vectors a side; eta 0.5."""
    first, second = tensor([[0.3, 1], [0.6, 2]]), tensor([[-1, -0.4], [-2, -3]])
    terms = gods.gods_loss(first, second, eta=0.5, spread=0.1)
    close(terms["above"], 0.2**2 / 2)
    close(terms["below"], 0.1**2 / 2)
    close(terms["spread"], 0.1 * (0.09 + 1 + 0.36 + 4 + 1 + 0.16 + 4 + 9) / 2)


def test_gcl() -> None:
    """Of four errors 0, 0, 0, 4 (mean 1, deviation 2) the last is high; it should be reconstructed as ones."""
    assert gcl.high(tensor([0, 0, 0, 4]), deviations=1.0).tolist() == [[False, False, False, True]]
    x, made = tensor([[1, 0, 0, 0], [0, 1, 0, 0]]), tensor([[0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]])
    close(gcl.negative_learning(x, made, torch.tensor([[False, True]])), (1 + 0) / 2)
    close(gcl.negative_learning(x, made, torch.tensor([[False, False]])), (1 + 1) / 2)
