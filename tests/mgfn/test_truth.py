from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mgfn.truth import Difference, TruthError, read_truth
from tests.mgfn.evaluation.known import write_intervals

VIDEOS = {"Abuse028_x264_i3d": 5, "Normal_Videos_003_x264_i3d": 3}


def test_intervals_against_frame_counts(tmp_path: Path) -> None:
    path = write_intervals(
        tmp_path / "truth.json",
        {
            "Normal_Videos_003_x264": (48, []),
            "Abuse028_x264": (80, [(3, 10), (70, 80)]),
            "Abuse028": (16, []),  # the longest name that fits is the video's
            "Vandalism036_x264": (16, [(0, 1)]),
        },
    )
    truth = read_truth(path, VIDEOS)
    assert np.flatnonzero(truth.labels[0]).tolist() == [*range(3, 10), *range(70, 80)]
    assert [len(label) for label in truth.labels] == [80, 48]
    assert truth.differences == ()
    assert truth.unlisted == ("Abuse028", "Vandalism036_x264")
    (note,) = truth.notes()
    assert note == "2 videos of the ground truth are not in the list: Abuse028, Vandalism036_x264"


def test_a_difference_of_one_clip_is_said(tmp_path: Path) -> None:
    path = write_intervals(
        tmp_path / "truth.json", {"Abuse028_x264": (96, [(0, 96)]), "Normal_Videos_003_x264": (33, [])}
    )
    truth = read_truth(path, VIDEOS)
    assert [len(label) for label in truth.labels] == [96, 33]
    assert truth.differences == (
        Difference("Abuse028_x264_i3d", 80, 96),
        Difference("Normal_Videos_003_x264_i3d", 48, 33),
    )
    assert truth.notes() == [
        "Abuse028_x264_i3d: features 80 frames, ground truth 96; measured over 96, the last score is repeated",
        "Normal_Videos_003_x264_i3d: features 48 frames, ground truth 33; measured over 33, last scores not used",
    ]


def test_concatenated_labels_are_split_in_the_order_of_the_list(tmp_path: Path) -> None:
    labels = np.zeros(128)
    labels[75:85] = 1
    np.save(tmp_path / "gt.npy", labels)
    first, second = read_truth(tmp_path / "gt.npy", VIDEOS).labels
    assert np.flatnonzero(first).tolist() == list(range(75, 80))
    assert np.flatnonzero(second).tolist() == list(range(5))
    assert (len(first), len(second)) == (80, 48)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"Abuse028_x264": {"frames": 97, "anomalous": []}, '
         '"Normal_Videos_003_x264": {"frames": 31, "anomalous": []}}',
         "lengths of 2 videos differ by more than 16 frames .*: Abuse028_x264_i3d: features 80 frames, "
         "ground truth 97; Normal_Videos_003_x264_i3d: features 48 frames, ground truth 31$"),
        ('{"Abuse028_x264": {"frames": 80, "anomalous": []}}', "lacks 1 listed videos: Normal_Videos_003_x264_i3d"),
        ("{}", "lacks 2 listed videos: Abuse028_x264_i3d; Normal_Videos_003_x264_i3d"),
        ('{"Abuse028_x264": {"frames": 80, "anomalous": [[5, 81]]}}', r"Abuse028_x264: .*\[5, 81\) of 80 frames"),
        ('{"Abuse028_x264": {"frames": 80, "anomalous": [[5, 5]]}}', "first < past <= frames"),
        ('{"Abuse028_x264": {"frames": 80, "anomalous": [[-1, 5]]}}', r"\.anomalous\.0\.0: expected greater"),
        ('{"Abuse028_x264": {"frames": 0, "anomalous": []}}', r"Abuse028_x264\.frames"),
        ('{"Abuse028_x264": {"anomalous": []}}', r"Abuse028_x264\.frames: Field required"),
        ('{"Abuse028_x264": [[5, 81]]}', "Abuse028_x264: "),
        ("[]", "as a whole: "),
        ("{", "as a whole: "),
        (b"\xff\xfe", "is UTF-16 text; save it as UTF-8"),
        (None, "No such file"),
    ],
)  # fmt: skip
def test_intervals_that_do_not_fit(tmp_path: Path, content: str | bytes | None, says: str) -> None:
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TruthError, match=says) as caught:
        read_truth(path, VIDEOS)
    assert str(caught.value).startswith(f"--ground-truth {path}: ")


def test_many_videos_that_lack_their_truth_are_counted(tmp_path: Path) -> None:
    path = write_intervals(tmp_path / "truth.json", {"a": (16, [])})
    with pytest.raises(TruthError, match=r"lacks 9 listed videos: v_0; v_1; v_2 \(and 6 more like it\)$"):
        read_truth(path, {f"v_{index}": 1 for index in range(9)})


def test_one_ground_truth_serves_one_video(tmp_path: Path) -> None:
    path = write_intervals(tmp_path / "truth.json", {"a": (16, [])})
    with pytest.raises(TruthError, match="a matches more than one listed video, such as a_2"):
        read_truth(path, {"a_1": 1, "a_2": 1})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (np.zeros(127), r"127 frames, the features of the 2 listed videos have 128 \(16 per clip\)"),
        (np.zeros(1_114_144), "1114144 frames"),
        (np.zeros((128, 1)), r"float64 \(128, 1\), expected one label per frame"),
        (np.full(128, 0.5), "labels other than 0 and 1"),
        (np.full(128, np.nan), "labels other than 0 and 1"),
        (np.array(["a"] * 128), "expected one label per frame"),
        (b"nonsense", "neither a .json file of intervals nor a complete .npy"),
        (b"", "neither a .json file of intervals nor a complete .npy"),
        (None, "No such file"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, content: object, says: str) -> None:
    path = tmp_path / "gt.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, np.asarray(content))
    with pytest.raises(TruthError, match=says) as caught:
        read_truth(path, VIDEOS)
    assert str(caught.value).startswith(f"--ground-truth {path}: ")


@pytest.mark.parametrize(("file", "videos"), [("ucf-crime-test.json", 290), ("xd-violence-test.json", 800)])
def test_the_published_intervals(shared_data: Path, file: str, videos: int) -> None:
    path = shared_data / "ground-truth" / file
    counts = {name: entry["frames"] // 16 for name, entry in json.loads(path.read_text()).items()}
    truth = read_truth(path, {f"{name}_i3d": clips for name, clips in counts.items()})
    assert len(truth.labels) == videos
    assert truth.notes() == []
    assert sum(len(label) for label in truth.labels) == 16 * sum(counts.values())


def test_intervals_with_a_byte_order_mark(tmp_path: Path) -> None:
    content = json.dumps({name: {"frames": 16 * clips, "anomalous": []} for name, clips in VIDEOS.items()})
    (tmp_path / "truth.json").write_bytes(b"\xef\xbb\xbf" + content.encode())
    assert [len(label) for label in read_truth(tmp_path / "truth.json", VIDEOS).labels] == [80, 48]
    (tmp_path / "truth.json").write_bytes(content.encode("utf-16"))
    with pytest.raises(TruthError, match="is UTF-16 text; save it as UTF-8"):
        read_truth(tmp_path / "truth.json", VIDEOS)
