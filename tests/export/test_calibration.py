"""Footage for INT8: which videos, which clips of them."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.arrays import UInt8Array
from export import bundle as export_bundle
from export import calibration, cli
from export.bundle import ExportError
from export.calibration import find_videos, read_footage
from tests.bundles import tiny_sources


def write_video(path: Path, frames: int, gop: int = 12, fps: int = 25) -> Path:
    """A video of `frames` grey pictures, each a step brighter than the last: 20, 21, 22, ..."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "1", "g": str(gop)}
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + index % 200, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def brightness(clips: UInt8Array) -> list[list[int]]:
    """Rounded mean of the first and of the last frame of each clip."""
    return [[round(float(clip[0, t].mean())) for t in (0, -1)] for clip in clips]


def test_a_short_video_gives_all_its_clips_and_the_last_third_is_held_out(tmp_path: Path) -> None:
    kept, held_out = read_footage([write_video(tmp_path / "a.mp4", 16 * 6 + 5)], "squash")
    assert kept.shape == (4, 1, 16, 224, 224, 3)
    found = np.array(brightness(kept) + brightness(held_out))
    np.testing.assert_allclose(found, [[20 + 16 * k, 35 + 16 * k] for k in range(6)], atol=3)


def test_a_long_video_is_sampled_over_its_whole_length(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_CLIPS", 3)
    monkeypatch.setattr(calibration, "HELD_OUT_CLIPS", 1)
    monkeypatch.setattr(calibration, "_SEEK_SECONDS", 1.0)  # seek where a real video would
    kept, held_out = read_footage([write_video(tmp_path / "a.mp4", 160)], "squash")
    found = np.array(brightness(np.concatenate([kept, held_out])))
    np.testing.assert_allclose(found[:, 0], [20, 60, 100, 140], atol=3)
    np.testing.assert_allclose(found[:, 1] - found[:, 0], 15, atol=2)


def test_of_more_videos_than_clips_some_are_taken_evenly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_CLIPS", 2)
    monkeypatch.setattr(calibration, "HELD_OUT_CLIPS", 1)
    videos = [write_video(tmp_path / f"{k}.mp4", 16) for k in range(2)]
    unread = tmp_path / "never read.mp4"
    kept, held_out = read_footage([videos[0], unread, videos[1], unread, videos[0], unread], "squash")
    assert (len(kept), len(held_out)) == (2, 1)


def test_videos_share_the_clips_and_the_geometry_is_the_bundles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_CLIPS", 3)
    monkeypatch.setattr(calibration, "HELD_OUT_CLIPS", 1)
    videos = [write_video(tmp_path / f"{name}.mp4", 80) for name in "ab"]
    kept, held_out = read_footage(videos, "ends")
    assert (kept.shape, held_out.shape) == ((3, 2, 16, 224, 224, 3), (1, 2, 16, 224, 224, 3))
    starts = [first for first, _ in brightness(np.concatenate([kept, held_out]))]
    np.testing.assert_allclose(starts, [20, 60, 20, 60], atol=3)


def test_a_folder_is_searched_by_name(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/b.MP4", "in/deep/a.mkv", "in/deep/c.3gp", "in/notes.txt", "single.bin"):
        (tmp_path / name).write_bytes(b"")
    found = find_videos([tmp_path / "in", tmp_path / "single.bin"])
    assert [path.name for path in found] == ["b.MP4", "a.mkv", "c.3gp", "single.bin"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--int8", "--calibration", "{folder}/none"], "--calibration {folder}/none: no such file or folder"),
        (
            ["--int8", "--calibration", "{folder}/empty"],
            "--calibration {folder}/empty: contains no video; searched for *",
        ),
        (["--int8", "--calibration", "{folder}/text.mp4"], "text.mp4: cannot be read as a video: "),
        (["--int8", "--calibration", "{folder}/broken.mp4"], "broken.mp4: contains no frame"),
        (["--int8", "--calibration", "{folder}/sound.mp4"], "sound.mp4: contains no video stream"),
        (
            ["--int8", "--calibration", "{folder}/short.mp4"],
            "2 clips of 16 frames in 1 video(s); at least 3 needed",
        ),
        (["--calibration", "{folder}/short.mp4"], "--calibration: requires --int8"),
        (["--int8", "{folder}/short.mp4"], "short.mp4: unexpected argument; footage must follow --calibration"),
    ],
)
def test_wrong_footage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    write_video(tmp_path / "short.mp4", 40)
    content = write_video(tmp_path / "broken.mp4", 40).read_bytes()
    begin = content.index(b"mdat") + 4
    length = int.from_bytes(content[begin - 8 : begin - 4], "big") - 8
    (tmp_path / "broken.mp4").write_bytes(content[:begin] + bytes([0x55]) * length + content[begin + length :])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    monkeypatch.setattr(export_bundle, "load_sources", lambda *_: tiny_sources())
    command = ["mgfn-export", "--out", f"{tmp_path}/b", *(a.format(folder=tmp_path) for a in arguments)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says.format(folder=tmp_path) in line
    assert not (tmp_path / "b").exists()


def test_several_videos_after_one_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[Path] = []

    def stop(paths: list[Path]) -> None:
        given.extend(paths)
        raise ExportError("far enough")

    monkeypatch.setattr(calibration, "find_videos", stop)
    command = ["mgfn-export", "--int8", "--out", f"{tmp_path}/b", "--calibration", "a.mp4", "b.mp4", "c"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        cli.main()
    assert [str(path) for path in given] == ["a.mp4", "b.mp4", "c"]
