"""Lists of videos, and feature files cut into parts: what they mean and everything that can be wrong with them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from mgfn.training.config import ProblemsError, load_config
from mgfn.training.dataset import Layout, read_videos
from mgfn.training.segments import Segments, prepare, segment
from mgfn.training.splits import split_videos
from mgfn.training.validation import read_frames


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def problems_of(labels: Path, layout: Layout = "plain", features: Path | None = None) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        read_videos(labels, features, layout)
    return [line for line in caught.value.problems if not line.startswith("features ")]


def test_a_csv(tmp_path: Path) -> None:
    text = "file, label, split, class, frames\na.npy,normal,,,\nsub/b,1,test,fight,64\n"
    a, b = read_videos(write(tmp_path / "l.csv", text), None, "plain")
    assert (a.name, a.files, a.abnormal, a.split, a.frames) == ("a", (tmp_path / "a.npy",), False, "train", None)
    assert (b.name, b.abnormal, b.split, b.category, b.frames) == ("b", True, "test", "fight", 64)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "file,label,split\na,odd,train\nb,normal,trian\na,normal,\nc,normal\n,normal,\nd,normal,val,x\na,abnormal,",
            [
                "line 2: label 'odd'; allowed: normal, 0, abnormal, 1",
                "line 3: split 'trian'; allowed: train, val, test",
                "line 6: file is empty",
                "line 7 has more fields than the 3 columns",
                "a is listed 2 times (line 4, line 8)",
            ],
        ),
        ("file,label,frames\na,normal,-3\n", ["frames '-3'; must be a whole number of at least 1"]),
        ("path,label\na,normal\n", ["column file is missing; columns: file,label[,split][,class][,frames]"]),
        ("file,label,color\na,normal,red\n", ["unknown column color; allowed: file, label, split, class, frames"]),
        ("file,label\n", ["lists no videos"]),
        ("", ["column file, label is missing"]),
        ("file;label\na;normal\n", ["separated by commas; the first line is 'file;label'"]),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path: Path, text: str, says: list[str]) -> None:
    found = problems_of(write(tmp_path / "l.csv", text))
    assert len(found) == len(says), found
    for line, part in zip(found, says, strict=True):
        assert part in line
        assert "l.csv" in line


def test_a_list_of_another_layout_is_one_line_and_many_alike_are_counted(tmp_path: Path) -> None:
    (line,) = problems_of(ucf_list(tmp_path), "xd-violence")
    assert "813 of 813 lines are not names of xd-violence; this looks like ucf-crime" in line
    xd = "".join(f"Film.{i}__#0_label_A__{crop}.npy\n" for i in range(4) for crop in range(5))
    (line,) = problems_of(write(tmp_path / "xd.list", xd), "ucf-crime")
    assert "20 of 20 lines are not names of ucf-crime; this looks like xd-violence" in line
    rows = "".join(f"video{i},odd\n" for i in range(1610)) + "x,normal\ny,normal,3\n"
    with pytest.raises(ProblemsError) as caught:
        read_videos(write(tmp_path / "l.csv", "file,label\n" + rows), None, "plain")
    odd, _, last, more, gone = caught.value.problems
    assert "line 2: label 'odd'" in odd
    assert last.endswith("(and 1,607 more like it)")
    assert "more fields than" in more
    assert gone == f"features {tmp_path / 'x.npy'}: No such file or directory"  # in the same round


def test_missing_lists_and_lists_without_a_layout(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "none.csv")[0]
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    assert "is UTF-16 text; save it as UTF-8" in problems_of(tmp_path / "bad.csv")[0]
    assert "contains no labels" in problems_of(write(tmp_path / "a.list", "a.npy\n"))[0]


def ucf_list(folder: Path, abnormal: int = 810, normal: int = 3) -> Path:
    lines = [f"/home/them/UCF_Train/Abuse{i:03d}_x264_i3d.npy" for i in range(abnormal)]
    lines += [f"/home/them/UCF_Train/Normal_Videos{i:03d}_x264_i3d.npy" for i in range(normal)]
    return write(folder / "ucf.list", "\n".join(lines) + "\n")


def test_lists_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"\xef\xbb\xbffile,label\r\na,normal\r\n")
    assert [video.name for video in read_videos(tmp_path / "l.csv", None, "plain")] == ["a"]
    (tmp_path / "u.list").write_bytes(b"\xef\xbb\xbfAbuse1\r\nNormal_Videos_1\r\n")
    assert [video.name for video in read_videos(tmp_path / "u.list", None, "ucf-crime")] == [
        "Abuse1",
        "Normal_Videos_1",
    ]


def test_the_released_ucf_crime_list(tmp_path: Path) -> None:
    videos = read_videos(ucf_list(tmp_path), tmp_path / "features", "ucf-crime")
    assert [sum(v.abnormal for v in videos), len(videos)] == [810, 813]
    assert (videos[0].name, videos[0].category) == ("Abuse000_x264", "Abuse")
    assert videos[0].files == (tmp_path / "features" / "Abuse000_x264_i3d.npy",)  # wherever the authors had them
    part = read_videos(ucf_list(tmp_path, 2, 2), None, "ucf-crime")  # of whoever has a part of the videos
    assert [v.abnormal for v in part] == [True, True, False, False]
    listed = write(tmp_path / "test.list", "Normal_Videos_1\nAbuse1\nNormal_Videos_2\n")
    assert [v.abnormal for v in read_videos(listed, None, "ucf-crime", "test")] == [False, True, False]


def test_features_of_ones_own_go_with_the_released_list(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    own = tmp_path / "features" / "Abuse000_x264.npy"
    np.save(own, np.zeros((2, 10, 4), np.float32))
    videos = read_videos(ucf_list(tmp_path), tmp_path / "features", "ucf-crime")
    assert videos[0].files == (own,)


def test_ucf_crime_names_and_places_that_differ_are_named(tmp_path: Path) -> None:
    listed = write(tmp_path / "ucf.list", "Abuse1\nNormal_Videos1\nArson1\nNormal_Videos2\n")
    found = problems_of(listed, "ucf-crime")
    assert len(found) == 2
    assert "line 2: Normal_Videos1 is a normal video by its name, but is among abnormal ones" in found[0]
    assert "line 3: Arson1 is an abnormal video by its name" in found[1]


def test_xd_violence_gathers_five_crops(tmp_path: Path) -> None:
    names = ["A.Film.2001__#00-25-20_00-29-20_label_A", "B.Film.2002__#0-1_label_B2-G-0"]
    lines = [f"/their/{name}__{crop}.npy" for name in names for crop in range(5)]
    videos = read_videos(write(tmp_path / "xd.list", "\n".join(lines)), tmp_path, "xd-violence")
    assert [(v.name, v.abnormal, v.category) for v in videos] == [(names[0], False, "A"), (names[1], True, "B2-G-0")]
    assert videos[1].files == tuple(tmp_path / f"{names[1]}__{crop}.npy" for crop in range(5))
    (bare,) = read_videos(write(tmp_path / "xd.list", names[0]), tmp_path, "xd-violence")
    assert bare.files == tuple(tmp_path / f"{names[0]}__{crop}.npy" for crop in range(5))
    (tmp_path / "train").mkdir()
    below = tuple(tmp_path / "train" / f"{names[0]}__{crop}.npy" for crop in range(5))
    for file in below:
        file.touch()
    for listing in (
        write(tmp_path / "xd.list", f"train/{names[0]}"),
        write(tmp_path / "xd.csv", f"file,label\ntrain/{names[0]},0\n"),
    ):
        assert [v.files for v in read_videos(listing, tmp_path, "xd-violence")] == [below]


def test_what_is_wrong_with_an_xd_violence_list(tmp_path: Path) -> None:
    text = "a_label_A__0.npy\na_label_A__1.npy\nb_label_A__3.npy\nb_label_A__3.npy\nunnamed.npy\n"
    found = problems_of(write(tmp_path / "xd.list", text), "xd-violence")
    assert len(found) == 3
    assert "line 5: unnamed has no label" in found[0]
    assert "a_label_A: the list has a_label_A__0 (line 1), a_label_A__1 (line 2); expected __0, __1" in found[1]
    assert "b_label_A: the list has" in found[2]


@pytest.mark.parametrize("clips", [1, 5, 32, 77])
def test_parts_by_linspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    features = np.random.default_rng(0).random((clips, 2, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", features)
    edges = np.linspace(0, clips, 33, dtype=int)
    expected = [features[a:b].mean(0) if b > a else features[a] for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(segment(tmp_path / "a.npy", 32), expected, rtol=1e-6)
    monkeypatch.setattr("mgfn.training.segments._STRETCH_BYTES", 50)  # two clips at a time
    np.testing.assert_allclose(segment(tmp_path / "a.npy", 32), expected, rtol=1e-6)


def test_parts_are_kept_until_their_source_changes(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.npy", tmp_path / "kept"
    np.save(path, np.ones((64, 1, 3), np.float32))
    segments = Segments(folder, 32)
    assert segments.add(path) == (64, 1, 3)
    assert segments.load(path).shape == (32, 1, 3)
    np.save(path, np.full((96, 1, 3), 2, np.float32))
    segments.add(path)
    assert float(segments.load(path)[0, 0, 0]) == 2.0
    assert len(list(folder.iterdir())) == 2
    np.save(tmp_path / "b.npy", np.full((32, 1, 3), 3, np.float32))  # already in parts: read where it is
    segments.add(tmp_path / "b.npy")
    assert float(segments.load(tmp_path / "b.npy")[0, 0, 0]) == 3.0
    assert len(list(folder.iterdir())) == 2


def test_a_part_may_be_shown_by_one_of_its_clips(tmp_path: Path) -> None:
    """Ten clips in four parts, 2, 3, 2 and 3 clips long; their values are their numbers."""
    np.save(tmp_path / "a.npy", np.arange(10, dtype=np.float32)[:, None, None])
    segments = Segments(tmp_path / "kept", 4)
    segments.add(tmp_path / "a.npy")
    rng = np.random.default_rng(0)
    drawn = np.stack([segments.draw(tmp_path / "a.npy", rng)[:, 0, 0] for _ in range(100)])
    assert [sorted({*part}) for part in drawn.T.tolist()] == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]
    again = segments.draw(tmp_path / "a.npy", np.random.default_rng(0))
    np.testing.assert_array_equal(again[:, 0, 0], drawn[0])


def test_every_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    good = np.ones((40, 2, 4), np.float32)
    bad = good.copy()
    bad[7, 1, 2] = np.nan
    parts = good[:32].copy()
    parts[3] = np.inf
    files = {"good": good, "also": good, "nan": bad, "parts": parts, "crops": good[:, :1], "wide": good[..., :3]}
    files["short"] = good[:10]
    files["flat"] = good[:, 0, 0]
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    rows = "".join(f"{name},normal,{640 if name == 'short' else ''}\n" for name in (*files, "missing"))
    videos = read_videos(write(tmp_path / "l.csv", "file,label,frames\n" + rows), None, "plain")
    seen: list[tuple[int, int]] = []
    with pytest.raises(ProblemsError) as caught:
        prepare(videos, Segments(tmp_path / "kept", 32), None, lambda *done: seen.append(done))
    found = "\n".join(caught.value.problems)
    for part in (
        "nan.npy: 1 clips hold NaN or infinity, first clip 7",
        "parts.npy: 1 clips hold NaN or infinity, first clip 3",
        "crops.npy: 1 crops of 4 channels, expected 2 of 4",
        "wide.npy: 2 crops of 3 channels, expected 2 of 4",
        "short.npy: 10 clips (160 frames), but the list says 640",
        "flat.npy: float32 (40,), expected float",
        "missing.npy: No such file",
    ):
        assert part in found
    assert len(caught.value.problems) == 7
    assert seen[-1] == (9, 9)


def test_frames_may_leave_out_or_count_the_last_partial_clip(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((10, 1, 4), np.float32))
    for frames in (160, 170, 150):
        videos = read_videos(write(tmp_path / "l.csv", f"file,label,frames\na,normal,{frames}\n"), None, "plain")
        assert prepare(videos, Segments(tmp_path / "kept", 32), 1, lambda *_: None) == (1, 4)


def test_splits(tmp_path: Path) -> None:
    rows = "".join(f"n{i},normal\na{i},abnormal\n" for i in range(20))
    videos = read_videos(write(tmp_path / "l.csv", "file,label\n" + rows), None, "plain")
    base = {"data.labels": tmp_path / "l.csv"}
    train, held_out = split_videos(load_config("rtfm", {**base, "select": "last"}), videos)
    assert (len(train), held_out) == (40, [])
    train, held_out = split_videos(load_config("rtfm", {**base, "select": "val"}), videos)
    assert sorted(v.name for v in train + held_out) == sorted(v.name for v in videos)
    assert [sum(v.abnormal for v in held_out), len(held_out)] == [2, 4]
    with pytest.raises(ProblemsError) as caught:
        split_videos(load_config("rtfm", {**base, "select": "test-best"}), videos[:1])
    assert [line.partition(": ")[2] for line in caught.value.problems] == [
        "no abnormal videos for training",
        "no normal videos for evaluation, which --select test-best needs",
        "no abnormal videos for evaluation, which --select test-best needs",
    ]


def test_truth_by_name_and_in_order(tmp_path: Path) -> None:
    for name, clips in (("a", 3), ("b", 2)):
        np.save(tmp_path / f"{name}.npy", np.ones((clips, 1, 4), np.float32))
    text = "file,label,split\na,abnormal,test\nb,normal,test\n"
    videos = read_videos(write(tmp_path / "l.csv", text), None, "plain")
    truth = write(
        tmp_path / "t.json", '{"a": {"frames": 50, "anomalous": [[10, 20]]}, "b": {"frames": 32, "anomalous": []}}'
    )
    by_name = read_frames(truth, videos)
    assert np.flatnonzero(by_name["a"]).tolist() == list(range(10, 20))
    assert len(by_name["a"]) == 50  # two frames more than the clips have: measured over these
    np.save(tmp_path / "t.npy", np.concatenate([by_name["a"][:48], by_name["b"]]).astype(np.float64))
    in_order = read_frames(tmp_path / "t.npy", videos)
    np.testing.assert_array_equal(in_order["a"], by_name["a"][:48])
    np.save(tmp_path / "short.npy", np.zeros(79))
    with pytest.raises(ProblemsError, match=r"79 frames, the features of the 2 listed videos have 80"):
        read_frames(tmp_path / "short.npy", videos)
    wrong = write(tmp_path / "w.json", '{"a": {"frames": 500, "anomalous": [[10, 20]]}}')
    with pytest.raises(ProblemsError, match="lacks 1 listed videos: b"):
        read_frames(wrong, videos)
