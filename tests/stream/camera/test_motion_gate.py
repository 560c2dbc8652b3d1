"""The motion gate on clips of noise, light and a small thing that moves."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arrays import UInt8Array
from stream.camera.motion_gate import MotionGate


def scene(seed: int = 0, noise: float = 2.0, light: float = 0.0, crops: int = 1) -> UInt8Array:
    """A still picture, sixteen times, under a sensor's noise."""
    picture = np.random.default_rng(1).uniform(40, 200, (crops, 1, 224, 224, 3))
    grain = np.random.default_rng(seed).normal(0, noise, (crops, 16, 224, 224, 3))
    return np.clip(picture + grain + light, 0, 255).astype(np.uint8)


def with_something(clip: UInt8Array, frame: int, top: int = 100, size: int = 8) -> UInt8Array:
    """Something dark, `size` pixels each way, in one frame alone."""
    out = clip.copy()
    out[:, frame, top : top + size, 50 : 50 + size] = 0
    return out


def test_noise_is_no_motion() -> None:
    gate = MotionGate(2.0)
    assert [gate.representative(n, scene(n)) for n in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize("frame", [0, 7, 15])
def test_a_small_thing_in_one_frame_is(frame: int) -> None:
    gate = MotionGate(4.0)
    gate.representative(0, scene(0))
    assert gate.representative(1, with_something(scene(1), frame)) == 1
    assert gate.representative(2, with_something(scene(2), frame)) == 2  # it was in one frame of the clip before
    assert gate.representative(3, scene(3)) == 2  # a sixteenth of it is in that clip's mean


@pytest.mark.slow
def test_what_grows_slowly_adds_up() -> None:
    gate = MotionGate(3.0)
    known = [gate.representative(n, scene(n, light=0.5 * n)) for n in range(16)]
    assert known[:6] == [0] * 6
    assert 2 <= len(set(known)) <= 4


def test_any_crop_counts() -> None:
    gate = MotionGate(4.0)
    gate.representative(0, scene(0, crops=2))
    moved = scene(1, crops=2)
    moved[1] = with_something(moved[1:], 3)[0]
    assert gate.representative(1, moved) == 1


def test_at_zero_no_clip_is_like_another() -> None:
    gate, clip = MotionGate(0.0), scene(0)
    assert [gate.representative(n, clip) for n in range(3)] == [0, 1, 2]
