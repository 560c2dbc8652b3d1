"""What the table of limits rests on: paired differences, equal clips in every view, and a probe that scores as live."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mgfn.evaluation.scoring import newest_scores
from mgfn.extended import Extended
from mgfn.training import probes
from mgfn.training.compose import Composer, Stream, Take
from mgfn.training.streaming import clip_auc
from recipes.default_head.features import Recording
from recipes.tables import limits, views
from recipes.tables.limits import ALONE, Idea, fewer, of_channels, probe, side_by_side
from recipes.tables.paired import compare, tally
from recipes.tables.tuning import tuned


def streams() -> list[Stream]:
    """Four sources, each with an incident of five clips of 40, and as many ordinary streams."""
    labels = np.zeros(40, bool)
    labels[20:25] = True
    nothing = np.zeros((40, 1, 1), np.float32)
    names = [f"s{index}" for index in range(4)]
    return [Stream(nothing, at, name) for name in names for at in (labels, labels & False)]


def test_measures_are_those_of_the_recipe() -> None:
    rng = np.random.default_rng(0)
    scores = [stream.labels * 0.7 + rng.random(40) for stream in streams()]
    counted = tally(streams(), scores)
    with_incident = [index for index, stream in enumerate(streams()) if stream.anomalous]
    exact = clip_auc([streams()[i] for i in with_incident], [scores[i].astype(np.float32) for i in with_incident])
    once = np.ones((1, 4))
    assert counted.auc(once)[0] == pytest.approx(exact, abs=0.01)
    perfect = tally(streams(), [stream.labels * 1.0 for stream in streams()])
    assert (perfect.auc(once)[0], perfect.share_found(once)[0]) == (1.0, 1.0)


def test_share_found_stops_where_false_crossings_come_too_often() -> None:
    # 8 streams of 25.6 s, less what is near incidents: one crossing is just under three minutes' worth, two are over
    scores = [stream.labels * 0.5 for stream in streams()]
    scores[0] = streams()[0].labels * 0.9  # found before the first false crossings
    scores[1][5] = scores[3][5] = 0.6
    counted = tally(streams(), scores)
    once = np.ones((1, 4))
    assert counted.share_found(once)[0] == 0.25
    # of its own threshold a source is free of the other's false crossings
    assert counted.share_found_apart(once)[0] == 0.75
    missed, false = counted.by_source()
    assert (missed.tolist(), false.tolist()) == ([0, 1, 1, 1], [0, 0, 0, 0])


def test_a_difference_is_paired_by_source() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.random(40) * (index // 2) for index in range(8)]  # sources of very unlike difficulty
    one = [stream.labels * 1.0 + extra for stream, extra in zip(streams(), noise, strict=True)]
    other = [stream.labels * 2.0 + extra for stream, extra in zip(streams(), noise, strict=True)]
    own = tally(streams(), one)
    same = compare(own.auc, own.auc, 4)
    assert (same.more, same.low, same.high) == (0, 0, 0)
    better = compare(tally(streams(), other).auc, own.auc, 4)
    assert better.low >= 0
    assert better.low < better.more < better.high
    assert str(better).startswith(f"{better.value:.3f}, +0.")


@pytest.mark.parametrize("frames", [16, 31, 50])
def test_every_view_has_the_same_clips(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 224, 224, 3))
    monkeypatch.setattr(views, "read_crops", lambda *_: pictures[None])
    monkeypatch.setattr("recipes.default_head.features.read_crops", lambda *_: pictures[None])
    monkeypatch.setattr(views, "_pictures", lambda *_: pictures)
    recording = Recording("a", Path("a.mp4"), "s00", True)
    for name, (geometry, clips_of) in views.VIEWS.items():
        clips = list(clips_of(recording, geometry, np.random.default_rng(0)))
        assert [clip.start for clip in clips] == list(range(0, frames - 15, 16)), name
        assert all(clip.frames.shape[1:] == (16, 224, 224, 3) for clip in clips), name


def test_a_slower_view_spans_twice_as_many_frames_within_the_recording() -> None:
    pictures = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None, None], (64, 224, 224, 3))
    seen = [
        clip.frames[0, :, 0, 0, 0].tolist() for clip in views._clips(Recording("a", Path("a"), "", False), pictures, 2)
    ]
    assert seen[0] == list(range(0, 32, 2))
    assert seen[1] == list(range(8, 40, 2))
    assert seen[3] == list(range(33, 64, 2))


def takes(seed: int = 0) -> list[Take]:
    """Six sources in 8 channels; incidents are large in the first."""
    rng = np.random.default_rng(seed)
    found: list[Take] = []
    for source in range(6):
        for anomalous in (False, False, True):
            features = rng.random((4, 1, 8), np.float32)
            features[:, :, 0] += 2.0 * anomalous
            found.append(Take(features, f"s{source}", "plain", anomalous, f"{source}-{len(found)}"))
    return found


def test_the_probe_scores_as_the_network_that_holds_it_does_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRAINING_STREAMS", 60)
    idea = Idea("", "", smoothing=3)
    score = probe(takes(), idea, 0)
    stream = Composer(takes(1), limits.MEASURED, np.random.default_rng(0)).stream(40, True)
    scores = score(stream.features)
    assert clip_auc([stream], [scores.astype(np.float32)]) > 0.95
    held = score.__self__  # type: ignore[attr-defined]
    network = Extended(dataclasses.replace(of_channels(ALONE, 8), probes=1, smoothing=3)).eval()
    network.load_state_dict(held.head.state_dict(), strict=False)
    found = probes.Probe(torch.from_numpy(held.slopes).double(), torch.tensor(held.intercept), 0.0)
    probes.add_probes(network, [found], network_share=0.0)
    np.testing.assert_allclose(scores, newest_scores(network, stream.features), atol=1e-4)


def test_views_of_a_clip_are_its_crops_and_fewer_sources_are_whole_ones() -> None:
    both = side_by_side([takes(0), takes(1)])
    assert both[3].features.shape == (4, 2, 8)
    np.testing.assert_array_equal(both[3].features[:, 1:], takes(1)[3].features)
    half = fewer(takes(), 0.5, seed=0)
    assert len({take.source for take in half}) == 3
    assert len(half) == 9


def test_tuning_sees_no_label_of_a_held_out_source_and_leaves_the_stage_alone() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv3d(3, 5, 1)
    stage = nn.Sequential(convolution, nn.ReLU())
    before = convolution.weight.clone()
    entering = torch.rand(40, 3, 2, 2, 2)
    frozen = stage(entering).mean(dim=(2, 3, 4)).detach().numpy()
    sources = np.array([f"s{index // 10}" for index in range(40)])
    labels = np.arange(40) % 2 == 0
    learnt = sources != "s3"
    one = tuned(stage, entering, frozen, sources, labels, learnt)
    other = tuned(stage, entering, frozen, sources, labels & learnt, learnt)
    torch.testing.assert_close(convolution.weight, before)
    weights = [next(iter(tuned_stage.parameters())) for tuned_stage in (one, other)]
    torch.testing.assert_close(*weights)
    assert (weights[0] - before).abs().max() > 1e-4
