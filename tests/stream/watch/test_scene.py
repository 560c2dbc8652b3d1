"""Covered, blinded, frozen, moved: told as a time line of clips."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arrays import FloatArray, UInt8Array
from stream.watch.scene import SceneWatch

CLIP = 0.64


class Camera:
    """Noisy pictures of a scene and features that wander about its own."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._ground = self._rng.integers(0, 255, (28, 28, 3)).repeat(8, 0).repeat(8, 1)
        self.scene = self._rng.random(64).astype(np.float32)
        self.watch, self.at = SceneWatch(), 1000.0

    def picture(self) -> UInt8Array:
        noise = self._rng.integers(-3, 4, self._ground.shape)
        return np.clip(self._ground + noise, 0, 255).astype(np.uint8)

    def window(self) -> FloatArray:
        return (self.scene * self._rng.uniform(0.8, 1.2, (32, 1, 64))).astype(np.float32)

    def run(self, seconds: float, picture: UInt8Array | None = None, *, tour: bool = False) -> str:
        until = self.at + seconds
        while self.at < until:
            self.at += CLIP
            self.watch.see(self.picture() if picture is None else picture, self.window(), self.at, tour=tour)
        return self.watch.problem


def flat(level: int) -> UInt8Array:
    rng = np.random.default_rng(0)
    return (level + rng.integers(-2, 3, (224, 224, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("level", "said"), [(12, "covered or dark"), (120, "covered:"), (250, "blinded")])
def test_a_flat_picture_is_said_after_ten_seconds_and_forgotten_at_once(level: int, said: str) -> None:
    camera = Camera()
    assert camera.run(20) == ""
    assert camera.run(9, flat(level)) == ""
    assert camera.run(3, flat(level)).startswith(said)
    assert camera.run(1) == ""


def test_a_frozen_picture_is_said_after_half_a_minute() -> None:
    camera = Camera()
    still = camera.picture()
    assert camera.run(28, still) == ""
    assert camera.run(5, still).startswith("frozen")
    assert camera.run(1) == ""


@pytest.mark.slow
def test_a_moved_camera_is_said_after_a_minute_and_accepted_in_the_end() -> None:
    camera = Camera()
    assert camera.run(900) == ""
    camera.scene = np.random.default_rng(9).random(64).astype(np.float32)
    assert camera.run(55) == ""
    assert camera.run(10).startswith("moved")
    assert camera.run(1_800) == ""
    assert camera.run(300) == ""


@pytest.mark.slow
def test_another_scene_of_a_tour_is_no_fault() -> None:
    camera = Camera()
    assert camera.run(1_000) == ""
    camera.scene = np.random.default_rng(9).random(64).astype(np.float32)
    assert camera.run(120, tour=True) == ""
    assert camera.run(90).startswith("moved")


@pytest.mark.slow
def test_nothing_is_said_of_a_scene_that_is_not_known_yet() -> None:
    camera = Camera()
    camera.run(120)
    camera.scene = np.random.default_rng(9).random(64).astype(np.float32)
    assert camera.run(400) == ""


def test_a_new_connection_and_a_clock_that_was_set_back_prove_nothing() -> None:
    camera = Camera()
    still = camera.picture()
    camera.run(25, still)
    camera.watch.reset()
    assert camera.run(10, still) == ""
    camera.at -= 5_000
    assert camera.run(10, still) == ""


@pytest.mark.slow
def test_what_is_known_of_a_scene_outlives_a_restart() -> None:
    camera = Camera()
    camera.run(300)
    assert camera.watch.memory() is None
    camera.run(600)
    kept = camera.watch.memory()
    assert kept is not None
    moved = Camera(seed=1)
    moved.watch.recall(kept)
    assert moved.run(70).startswith("moved")
    same = Camera()
    same.watch.recall(kept)
    assert same.run(300) == ""


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"mean": "%%", "usual": 0, "learnt": 0}', '{"mean": "AAAA"}'])
def test_what_is_no_memory_is_left_alone(text: str) -> None:
    camera = Camera()
    camera.watch.recall(text)
    assert camera.run(70) == ""
