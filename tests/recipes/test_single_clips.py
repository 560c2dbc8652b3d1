"""The table of single clips: its settings and its averages; its runs take minutes and are not run here."""

from __future__ import annotations

import numpy as np
import pytest

from mgfn.training.compose import Stream
from recipes.tables.data import CLIPS
from recipes.tables.single_clips import ROWS, averages, settings


@pytest.mark.parametrize(("title", "preset", "parts", "part"), ROWS)
def test_every_row_is_a_training_run(title: str, preset: str, parts: int, part: str) -> None:
    config = settings(preset, parts, part, seed=2)
    assert (config.data.parts, config.data.part, config.seed, config.videos) == (parts, part, 2, 8)
    assert CLIPS % parts == 0


def test_averages_by_hand() -> None:
    features = np.array([1, 3, 5, 7], np.float32)[:, None, None]
    found = averages(Stream(features, np.array([False, True, False, False]), "a"), 2)
    assert found.features[:, 0, 0].tolist() == [2, 6]
    assert found.labels.tolist() == [True, False]
