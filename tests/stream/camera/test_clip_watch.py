"""Pictures without clips are a problem, and it has a name."""

from __future__ import annotations

import pytest

from stream.camera.clip_watch import BLIND, ClipWatch


def watched(pictures: int) -> ClipWatch:
    watch = ClipWatch()
    watch.connected(1000.0)
    for _ in range(pictures):
        watch.picture()
    return watch


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        (13, "nothing is scored: the camera sends a frame every 8 s; at least one every 5 s is needed"),
        (
            2500,
            "nothing is scored: 2500 frames in 101 s, but never 16 in a row; check the camera's frame rate and clock",
        ),
    ],
)
def test_pictures_without_clips_are_named_after_a_while(pictures: int, said: str) -> None:
    watch = watched(pictures)
    assert watch.problem(1099.0) == ""
    assert watch.problem(1101.0) == said
    watch.clip(1101.0)
    assert watch.problem(1102.0) == ""


def test_without_pictures_or_connection_it_is_another_matter() -> None:
    assert watched(0).problem(1101.0) == ""
    watch = watched(10)
    watch.disconnected()
    assert watch.problem(1101.0) == ""


def test_a_camera_all_of_whose_clips_are_damaged_is_blind_until_a_whole_one() -> None:
    watch = ClipWatch()
    watch.connected(0.0)
    watch.damaged(1.0)
    watch.clip(2.0)
    for second in range(3, 8):
        watch.damaged(float(second))
        assert watch.problem(float(second)) == ""
    assert watch.problem(8.0) == BLIND
    watch.clip(9.0)
    assert watch.problem(9.0) == ""
    watch.damaged(10.0)
    watch.connected(11.0)
    assert watch.problem(20.0) == ""
