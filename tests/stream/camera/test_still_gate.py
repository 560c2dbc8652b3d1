"""The still gate on small grey frames: noise, light, keyframes, rain, and things that move or stay."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arrays import UInt8Array
from engine.focus import COLUMNS, LOOKED_AT, ROWS
from stream.camera.still_gate import LONGEST, MOST_IN_A_ROW, StillGate, first_share

FRAMES = len(LOOKED_AT)
PICTURE = np.random.default_rng(1).uniform(40, 200, (ROWS, COLUMNS))


def clip(seed: int = 0, noise: float = 0.5, light: tuple[float, ...] = (0.0,) * FRAMES) -> UInt8Array:
    """A still picture under noise, brighter by `light` in each frame. (FRAMES, ROWS, COLUMNS)."""
    frames = PICTURE + np.array(light)[:, None, None]
    frames = frames + np.random.default_rng(seed).normal(0, noise, frames.shape)
    return np.clip(frames, 0, 255).astype(np.uint8)


def is_still(small: UInt8Array) -> bool:
    gate = StillGate(enabled=True)
    return [gate.like(number, 0.64 * number, small) for number in (0, 1)] == [None, 0]


def with_something(given: UInt8Array, step: int = 2, size: int = 3, grey: int = 40) -> UInt8Array:
    """Something that moves `step` blocks from frame to frame."""
    out = given.astype(int)
    for number, frame in enumerate(out):
        frame[10 : 10 + size, 10 + step * number : 10 + step * number + size] += grey
    return np.clip(out, 0, 255).astype(np.uint8)


def rain(seed: int, drops: int = 150) -> UInt8Array:
    out, rng = clip(seed).astype(int), np.random.default_rng(seed)
    for frame in out:
        frame[rng.integers(0, ROWS, drops), rng.integers(0, COLUMNS, drops)] += 15
    return np.clip(out, 0, 255).astype(np.uint8)


def pulse(at: int) -> UInt8Array:
    """A keyframe redraws all blocks, each a little differently."""
    out = clip().astype(float)
    out[at:] += np.random.default_rng(at).normal(0, 1.5, PICTURE.shape)
    return np.clip(out, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "still",
    [
        clip(),
        clip(noise=1.0),
        clip(light=(0, 9, -3, 12, 4, -8)),  # flicker
        clip(light=(0, 0, 0, 30, 30, 30)),  # a lamp is switched on
        pulse(2),
    ],
    ids=["clean", "noise", "flicker", "lamp", "keyframe"],
)
def test_nothing_moves(still: UInt8Array) -> None:
    assert is_still(still)
    assert not is_still(with_something(still))


def test_what_is_small_faint_or_everywhere_moves() -> None:
    assert not is_still(with_something(clip(), size=2))
    assert not is_still(with_something(clip(), grey=12))
    shaken = np.stack([np.roll(frame, number, axis=1) for number, frame in enumerate(clip())])
    assert not is_still(shaken)
    assert not is_still(rain(0))  # it costs as much as before


def known(gate: StillGate, clips: list[UInt8Array], seconds: float = 0.64) -> list[int]:
    """For each clip, the one whose feature it takes."""
    likes = [gate.like(number, seconds * (number + 1), small) for number, small in enumerate(clips)]
    return [number if like is None else like for number, like in enumerate(likes)]


def test_still_clips_take_a_feature_after_the_first_one() -> None:
    moving = with_something(clip(2))
    clips = [clip(0), clip(1), moving, clip(3), clip(4)]
    assert known(StillGate(enabled=True), clips) == [0, 0, 2, 3, 3]  # the first one after a movement is computed
    assert known(StillGate(enabled=False), clips) == [0, 1, 2, 3, 4]


def test_one_clip_in_sixteen_and_one_in_fifteen_seconds_is_computed() -> None:
    found = known(StillGate(enabled=True), [clip(n) for n in range(40)])
    assert [n for n, taken in enumerate(found) if taken == n] == [0, MOST_IN_A_ROW + 1, 2 * (MOST_IN_A_ROW + 1)]
    assert known(StillGate(enabled=True), [clip(n) for n in range(4)], LONGEST) == [0, 0, 2, 2]


def test_the_first_one_of_a_camera_is_computed_earlier() -> None:
    assert known(StillGate(enabled=True, first=0.4), [clip(n) for n in range(5)], LONGEST / 2) == [0, 1, 1, 1, 4]
    found = known(StillGate(enabled=True, first=0.2), [clip(n) for n in range(40)])
    later = 4 + MOST_IN_A_ROW + 1
    assert [n for n, taken in enumerate(found) if taken == n] == [0, 4, later, later + MOST_IN_A_ROW + 1]


def test_cameras_take_turns() -> None:
    shares = [first_share(f"cam{number}") for number in range(16)]
    assert len(set(shares)) >= 12
    assert all(0 < share <= 1 for share in shares)


def test_something_that_was_left_behind_is_seen() -> None:
    left = clip(1).copy()
    left[:, 20:23, 30:33] += 30
    assert known(StillGate(enabled=True), [clip(0), left, left]) == [0, 1, 1]


def test_day_becomes_night() -> None:
    night = np.clip(255 - PICTURE[None] * np.ones((FRAMES, 1, 1)), 0, 255).astype(np.uint8)
    dusk = [clip(n, light=(-1.0 * n,) * FRAMES) for n in range(9)]
    assert known(StillGate(enabled=True), [*dusk, night, night]) == [0, 0, 0, 0, 0, 5, 5, 5, 5, 9, 9]


def test_another_size_of_frame_is_another_scene() -> None:
    two_crops = np.concatenate([clip(), clip()], axis=1)
    assert known(StillGate(enabled=True), [clip(), two_crops, two_crops]) == [0, 1, 1]
