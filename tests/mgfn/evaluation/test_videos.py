from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mgfn.evaluation.videos import EvaluationError, Protocol, read_list
from mgfn.features import FeatureError


def save(folder: Path, name: str, clips: int = 4, crops: int = 1, channels: int = 2) -> Path:
    np.save(folder / f"{name}.npy", np.full((clips, crops, channels), len(name), np.float32))
    return folder / f"{name}.npy"


def write(folder: Path, *lines: object) -> Path:
    (folder / "test.list").write_text("".join(f"{line}\n" for line in lines))
    return folder / "test.list"


def test_a_list_keeps_its_order(tmp_path: Path) -> None:
    paths = [save(tmp_path, "b_x264_i3d", 3, 10), save(tmp_path, "a_x264_i3d", 5, 10)]
    videos = read_list(write(tmp_path, paths[0], "", paths[1]), None, 2)
    assert [(video.name, video.clips) for video in videos] == [("b_x264_i3d", 3), ("a_x264_i3d", 5)]
    assert videos[0].features().shape == (3, 10, 2)


def test_features_of_ones_own_go_with_the_released_list(tmp_path: Path) -> None:
    save(tmp_path, "a_x264", 3, 10)
    listed = write(tmp_path, "/home/yu/UCF_Test_ten_crop_i3d/a_x264_i3d.npy")
    for folder in (tmp_path, None):
        assert [(video.name, video.clips) for video in read_list(listed, folder, 2)] == [("a_x264", 3)]


def test_paths_of_another_machine(tmp_path: Path) -> None:
    save(tmp_path, "a_i3d")
    save(tmp_path, "b_i3d")
    listed = write(tmp_path, r"G:\UCF_Test_ten_crop_i3d\a_i3d.npy", "/home/yu/features/b_i3d.npy")
    assert [video.name for video in read_list(listed, tmp_path, 2)] == ["a_i3d", "b_i3d"]
    assert [video.name for video in read_list(listed, None, 2)] == ["a_i3d", "b_i3d"]  # they lie beside the list
    listed = listed.rename(tmp_path.parent / f"{tmp_path.name}.list")
    with pytest.raises(EvaluationError, match=r"2 entries do not fit \(.*use --features DIR\): .*a_i3d.*; .*b_i3d"):
        read_list(listed, None, 2)


def test_paths_below_the_folder_go_before_names(tmp_path: Path) -> None:
    for clips, folder in enumerate((tmp_path, tmp_path / "test"), 1):
        folder.mkdir(exist_ok=True)
        save(folder, "a", clips)
    listed = write(tmp_path, "test/a")  # the ending may be left out
    assert [video.clips for video in read_list(listed, tmp_path, 2)] == [2]
    assert [video.clips for video in read_list(listed, None, 2)] == [2]


def test_five_files_are_one_video_of_five_crops(tmp_path: Path) -> None:
    names = [f"X.1__#0_1_label_{label}__{part}" for label in "AG" for part in (3, 0, 1, 2, 4)]
    for index, name in enumerate(names):
        np.save(tmp_path / f"{name}.npy", np.full((3, 2), index, np.float32))
    first, second = read_list(write(tmp_path, *(f"{name}.npy" for name in names)), tmp_path, 2, Protocol.XD_VIOLENCE)
    assert (first.name, second.name) == ("X.1__#0_1_label_A", "X.1__#0_1_label_G")
    assert first.features()[0, :, 0].tolist() == [1, 2, 3, 0, 4]  # by part, not by place in the list
    # a file that holds all crops of its video needs no number
    save(tmp_path, "X.1__#0_1_label_B1-0-0", crops=5)
    (whole,) = read_list(write(tmp_path, "X.1__#0_1_label_B1-0-0.npy"), tmp_path, 2, Protocol.XD_VIOLENCE)
    assert whole.features().shape == (4, 5, 2)
    # nor do five files, where the list names their video alone
    (bare,) = read_list(write(tmp_path, "their/X.1__#0_1_label_A"), tmp_path, 2, Protocol.XD_VIOLENCE)
    assert bare.files == first.files


@pytest.mark.parametrize(
    ("protocol", "lines", "says"),
    [
        ("xd-violence", ["a__0", "a__1", "a__2"], "a: the list has a__0 .line 1., .*; expected __0, .*__4, each once"),
        ("xd-violence", ["a__5"], "a: the list has a__5 .line 1.; expected __0, __1, __2, __3, __4, each once"),
        ("ucf-crime", ["a__0", "a__1", "b__0"], "1 entries .*: b: the list has b__0 .line 3.; expected __0, __1, each"),
        ("ucf-crime", ["a__0", "a"], "a: the list has a .line 2., a__0 .line 1.; expected __0, each once"),
        ("ucf-crime", ["c", "c"], "c is listed 2 times .line 1, line 2."),
        ("xd-violence", ["a__0", "d__4", "a__0"], "2 entries .*: a: the list has a__0 .line 1., a__0 .line 3.; .*d: "),
        ("ucf-crime", ["a__0", "a__4"], "the files of a hold 4, 7 clips"),
        ("ucf-crime", ["wide", "gone", "c"], r"2 entries .*wide\.npy: .*3 channels, expected 2; .*gone\.npy: No such"),
    ],
)  # fmt: skip
def test_entries_that_do_not_fit_are_all_named(tmp_path: Path, protocol: str, lines: list[str], says: str) -> None:
    for name in ("a", "a__0", "a__1", "a__2", "a__3", "a__5", "b__0", "c"):
        save(tmp_path, name)
    save(tmp_path, "a__4", clips=7 if protocol == "ucf-crime" else 4)
    save(tmp_path, "d__4")
    save(tmp_path, "wide", channels=3)
    with pytest.raises(EvaluationError, match=says):
        read_list(write(tmp_path, *(f"{line}.npy" for line in lines)), tmp_path, 2, Protocol(protocol))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"\n \n", "is empty"),
        (b"", "is empty"),
        (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
    ],
)
def test_what_is_no_list(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "test.list").write_bytes(content)
    with pytest.raises(EvaluationError, match=f"--list .*test.list: .*{says}"):
        read_list(tmp_path / "test.list", None, 2)


def test_not_a_number_is_found_when_features_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((2, 1, 2), np.nan, np.float32))
    (video,) = read_list(write(tmp_path, tmp_path / "a.npy"), None, 2)
    with pytest.raises(FeatureError, match="2 clips hold NaN"):
        video.features()


def test_a_list_with_a_byte_order_mark(tmp_path: Path) -> None:
    save(tmp_path, "a")
    (tmp_path / "test.list").write_bytes(b"\xef\xbb\xbfa.npy\r\n")
    assert [video.name for video in read_list(tmp_path / "test.list", tmp_path, 2)] == ["a"]
