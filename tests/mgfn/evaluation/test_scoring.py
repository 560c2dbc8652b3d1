from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mgfn.checkpoint import load_head
from mgfn.evaluation import scoring
from mgfn.evaluation.scoring import causal_scores, newest_scores, video_scores
from mgfn.extended import Ensemble, ExtendedConfig
from mgfn.paper import PaperConfig
from tests.mgfn.evaluation.known import features_of, known_head

CONFIG = ExtendedConfig(PaperConfig(6, widths=(8, 8)), members=2)


def test_the_known_head_gives_the_scores_it_was_asked_for(tmp_path: Path) -> None:
    head, _ = load_head(known_head(tmp_path / "head.safetensors"))
    wanted = [0.01, 0.5, 0.37, 0.99]
    np.testing.assert_allclose(video_scores(head, features_of(wanted, crops=3)), wanted, atol=1e-4)


@pytest.mark.parametrize("numbers", [1, 2 * 9**2, 1 << 25])
def test_crops_that_pass_apart_give_the_same_scores(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    torch.manual_seed(0)
    head = Ensemble(CONFIG).eval()
    features = np.random.default_rng(0).random((9, 5, 6), dtype=np.float32)
    features.flags.writeable = False
    monkeypatch.setattr(scoring, "_ATTENTION_NUMBERS", numbers)
    with torch.inference_mode():
        expected = head(torch.from_numpy(features.copy())[None]).scores[0].numpy()
    scores = video_scores(head, features)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("clips", [1, 2, 4, 7])
def test_causal_scores_window_by_window(clips: int) -> None:
    torch.manual_seed(0)
    head = Ensemble(CONFIG).eval()
    features = np.random.default_rng(clips).random((clips, 3, 6), dtype=np.float32)
    expected = np.empty((3, clips), np.float32)
    for newest in range(clips):
        oldest = max(0, newest - 3)
        with torch.inference_mode():
            window = head(torch.from_numpy(features[None, oldest : newest + 1])).scores[0].numpy()
        for ahead in range(3):
            # at the stream's end nothing more comes: the last window scores all that still wait
            due = range(newest - ahead, newest - ahead + 1) if newest < clips - 1 else range(newest - ahead, clips)
            for clip in due:
                if clip >= 0:
                    expected[ahead, clip] = window[clip - oldest]
    scores = causal_scores(head, features, window=4)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_allclose(scores[0], newest_scores(head, features, window=4), atol=1e-6)
    np.testing.assert_allclose(causal_scores(head, features, (2,), window=4)[0], expected[2], atol=1e-6)
