"""The memory of ordinary features: sketches keep distances, the memory is bounded in size and age."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from engine.arrays import FloatArray
from stream.alarm.calibration_settings import CalibrationSettings
from stream.alarm.codec import CalibrationError
from stream.alarm.novelty import FeatureMemory
from stream.alarm.sketch import distances, sketch

SETTINGS = CalibrationSettings(memory=16, novelty_after=5)
DAY = 86_400.0


def vector(kind: int, wobble: int = 0) -> FloatArray:
    rng = np.random.default_rng(kind)
    values = rng.gamma(0.5, 1, 1_024) * np.exp(0.1 * np.random.default_rng([kind, wobble]).standard_normal(1_024))
    return sketch(values.astype(np.float32), 256, 0.5)


def filled(count: int = 16, *, every: float = 4.0) -> FeatureMemory:
    memory = FeatureMemory(SETTINGS)
    for number in range(count):
        memory.offer(vector(1, number), number * every)
    return memory


def test_a_sketch_keeps_cosine_distances() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.gamma(0.5, 1, 2_688), rng.gamma(0.5, 1, 2_688)) for _ in range(50)]
    ratios = []
    for a, b in pairs:
        exact = 1 - float(a @ b / np.sqrt((a @ a) * (b @ b)))
        sketched = sketch(a.astype(np.float32), 256, 1.0), sketch(b.astype(np.float32), 256, 1.0)
        ratios.append(float(distances(sketched[0], sketched[1][None])[0]) / exact)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert np.std(ratios) < 0.15


def test_what_was_never_seen_is_novel() -> None:
    memory = filled()
    assert memory.known
    assert memory.novelty(vector(1, 99)) < 4
    assert memory.novelty(vector(2)) == SETTINGS.novelty_limit
    assert filled(4).novelty(vector(2)) == 0


@pytest.mark.slow
def test_it_takes_few_an_hour_after_the_first_minutes() -> None:
    memory = filled(40)
    assert len(memory) == 16
    rare = FeatureMemory(CalibrationSettings(memory=256))
    for second in range(0, 7_200, 2):
        rare.offer(vector(3, second), float(second))
    assert 225 <= len(rare) <= 225 + 1.75 * SETTINGS.memory_per_hour + 1


def test_it_takes_all_its_space_at_once() -> None:
    tracemalloc.start()
    try:
        memory = FeatureMemory(CalibrationSettings())
        memory.offer(vector(1), 0.0)
        first, _ = tracemalloc.get_traced_memory()
        for number in range(1, 100):
            memory.offer(vector(1, number), number * 4.0)
        later, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(memory) == 100
    assert later - first < 20_000  # a hundred sketches have 102,400 bytes, their distances 40,000


def test_a_full_memory_keeps_what_differs() -> None:
    memory = filled(16)
    memory.offer(vector(7), 100.0)
    assert len(memory) == 16
    assert memory.novelty(vector(7, 1)) < memory.novelty(vector(8))


def test_what_nothing_has_resembled_for_long_is_dropped() -> None:
    memory = filled(16)
    memory.offer(vector(2), 20 * DAY)
    assert len(memory) == 1


def test_it_goes_through_json_and_wrong_content_is_refused() -> None:
    memory = filled()
    state = json.loads(json.dumps(memory.to_json()))
    again = FeatureMemory.from_json(state, SETTINGS, 256)
    assert again.novelty(vector(5)) == memory.novelty(vector(5))
    assert again.novelty(vector(1, 77)) == memory.novelty(vector(1, 77))
    with pytest.raises(CalibrationError, match="features are 16 x 256, expected at most 16 x 64"):
        FeatureMemory.from_json(state, SETTINGS, 64)
    with pytest.raises(CalibrationError, match="features seen has shape"):
        FeatureMemory.from_json(state | {"seen": memory.to_json()["vectors"] | {"type": "<f8"}}, SETTINGS, 256)
    with pytest.raises(ValueError, match="finite"):
        sketch(np.full(8, np.nan, np.float32), 256, 0.5)
    with pytest.raises(ValueError, match="shape"):
        sketch(np.zeros((2, 8), np.float32), 256, 0.5)
