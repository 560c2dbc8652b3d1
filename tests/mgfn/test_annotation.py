"""Ground truth that contradicts the videos' names or the published annotation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mgfn.annotation import UCF_CRIME, XD_VIOLENCE, Published, abnormal_by_name, contradictions, unusual_total
from mgfn.truth import BoolArray, read_truth


@pytest.mark.parametrize(
    ("name", "abnormal"),
    [
        ("Shooting008_x264_i3d", True),
        ("RoadAccidents001_x264", True),
        ("Normal_Videos_003_x264", False),
        ("Normal_Videos003_x264_i3d", False),
        ("A.Beautiful.Mind.2001__#00-25-20_00-29-20_label_A", False),
        ("v=38GQ9L2meyE__#1_label_B6-0-0", True),
        ("Bad.Boys.1995__#01-33-51_01-34-37_label_B2-0-0__4", True),
        ("door_0412", None),
        ("Shootingrange", None),
        ("my_label_maker", None),
    ],
)
def test_names_say_whether_a_video_is_abnormal(name: str, abnormal: bool | None) -> None:
    assert abnormal_by_name(name) is abnormal


def test_whole_classes_of_zeros_are_named() -> None:
    zeros, marked = np.zeros(32, bool), np.arange(32) < 5
    labels = {
        "Abuse028_x264": marked,
        "Normal_Videos_003_x264": zeros,
        **{f"Robbery{index:03d}_x264": zeros for index in range(5)},
        "door": zeros,  # nothing is known of it
    }
    (line,) = contradictions(labels)
    assert line.startswith("5 abnormal videos have no anomalous frame: Robbery000_x264; Robbery001_x264")
    assert "(and 2 more like it)" in line
    (line,) = contradictions({"Normal_Videos_003_x264": marked})
    assert line == "1 normal videos have anomalous frames: Normal_Videos_003_x264"
    assert contradictions({"door": zeros}, {"door": True}.get) == ["1 abnormal videos have no anomalous frame: door"]
    assert not contradictions({"Abuse028_x264": marked, "Normal_Videos_003_x264": zeros})


def test_totals_are_compared_where_the_whole_set_is_listed() -> None:
    def labels(videos: int, anomalous: int) -> dict[str, BoolArray]:
        first = np.zeros(anomalous + 1, bool)
        first[:anomalous] = True
        return {"v0": first} | {f"v{index}": np.zeros(1, bool) for index in range(1, videos)}

    said = unusual_total(labels(290, 52_844), UCF_CRIME)
    assert said == (
        "the ground truth marks 52,844 anomalous frames in 290 videos; the annotation of UCF-Crime has 84,343 "
        "(84,128 in whole clips)"
    )
    assert unusual_total(labels(290, 84_343), UCF_CRIME) is None
    assert unusual_total(labels(290, 84_128), UCF_CRIME) is None
    assert unusual_total(labels(289, 52_844), UCF_CRIME) is None  # a part of the test set
    assert unusual_total(labels(2, 90), Published("a test", 2, (100,))) is not None


@pytest.mark.parametrize(
    ("file", "published"), [("ucf-crime-test.json", UCF_CRIME), ("xd-violence-test.json", XD_VIOLENCE)]
)
def test_the_published_annotations_contradict_nothing(shared_data: Path, file: str, published: Published) -> None:
    path = shared_data / "ground-truth" / file
    counts = {name: entry["frames"] // 16 for name, entry in json.loads(path.read_text()).items()}
    labels = dict(zip(counts, read_truth(path, counts).labels, strict=True))
    assert contradictions(labels) == []
    assert unusual_total(labels, published) is None
    assert len(labels) == published.videos
    assert sum(int(frames.sum()) for frames in labels.values()) in published.anomalous
