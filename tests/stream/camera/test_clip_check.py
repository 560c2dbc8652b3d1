"""A saved clip is looked at before it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.camera.clip_check import ClipCheck, WrittenClip
from tests.servers.rtsp import moving_pictures, write_video


def checked(partial: Path, packets: int, seconds: float) -> ClipCheck:
    check = ClipCheck(WrittenClip("1.00-aaaaaa", partial, partial.with_name("clip.mp4"), packets, seconds))
    while not check.advance(0.01):
        pass
    return check


def test_a_whole_clip_has_no_problem(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving_pictures(60))
    assert checked(path, 60, 59 / 25).problem == ""


@pytest.mark.parametrize(("packets", "keep"), [(100, True), (452, False)])
def test_pictures_that_do_not_decode_are_said(tmp_path: Path, packets: int, keep: bool) -> None:
    check = checked(write_video(tmp_path / "a.mp4", moving_pictures(60)), packets, 59 / 25)
    assert check.problem == f"60 of {packets} frames of the clip can be decoded"
    assert check.worth_keeping is keep


def test_a_clip_that_is_too_short_is_said(tmp_path: Path) -> None:
    check = checked(write_video(tmp_path / "a.mp4", moving_pictures(60)), 60, 19.0)
    assert check.problem == "the clip lasts 2.4 s instead of 19.0 s"


def test_no_video_at_all_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing" * 100)
    assert not checked(path, 60, 2.0).worth_keeping
