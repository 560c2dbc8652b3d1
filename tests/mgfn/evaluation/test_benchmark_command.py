"""`mgfn-eval benchmark` as a user calls it: figures that are known, the report."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.mgfn.evaluation.conftest import Run
from tests.mgfn.evaluation.known import UCF, features_of, write_intervals, write_videos


class Page(HTMLParser):
    """Tags that must be closed, closed in order; sources of pictures and other files."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.slow
def test_a_benchmark_of_known_figures(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    out = tmp_path / "runs" / "ucf"
    arguments = ["benchmark", "--protocol", "ucf-crime", *ucf, "--out", out, "--resamples", "10"]
    assert run(*arguments) == 0
    # anomalous clips score 0.9, 0.6, 0.7; ordinary ones 0.2, 0.1, 0.3 and, in the normal video, 0.65 at the most
    content = json.loads((out / "figures.json").read_text())
    figures = {name: figure["value"] for name, figure in content["figures"].items()}
    assert figures["auc"] == pytest.approx(1 - 1 / (3 * 7))
    assert figures["auc_abnormal_videos"] == 1.0
    assert figures["false_alarm_rate"] == pytest.approx(1 / 4)
    assert figures["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert figures["precision_recall_trapezoid"] == pytest.approx((1 + 1 + (2 / 3 + 3 / 4) / 2) / 3)
    assert next(iter(figures)) == "auc"
    assert content["figures"]["auc"]["low"] <= figures["auc"] <= content["figures"]["auc"]["high"]
    assert (content["frames"], content["notes"], content["resamples"], content["seed"]) == (160, [], 10, 0)
    assert [(entry["name"], entry["alone"]) for entry in content["classes"]] == [("Abuse", 1.0), ("Arson", 1.0)]
    assert content["classes"][0]["with_normal"] == pytest.approx(1 - 1 / (2 * 6))
    assert [entry["name"] for entry in content["videos"]] == list(UCF)
    assert content["videos"][2]["auc"] is None
    assert content["videos"][0]["anomalous_frames"] == 32
    printed = capsys.readouterr().out
    for part in ("0.9524", "AP, frames (average precision)", "trapezoids", "Abuse", "95 %"):
        assert part in printed
    for name in UCF:
        picture = cv2.imread(str(out / "plots" / f"{name}.png"))
        assert picture is not None
        assert picture.shape == (144, 880, 3)
        blue, red = picture[..., 0].astype(int), picture[..., 2].astype(int)
        assert (blue - red > 80).any()  # the score's line
        assert (red - blue > 40).any() == ("Normal" not in name)  # anomalous frames are shaded
    text = (out / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.sources) == 4  # the curves, and a plot for each video
    assert "/head.safetensors on ucf-crime</h1>" in text
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "0.9524" in text
    assert {path.name for path in out.iterdir()} == {"figures.json", "report.html", "plots"}
    assert [path.name for path in out.parent.iterdir()] == ["ucf"]
    # the same figures from concatenated labels, and the seed decides the intervals
    labels = np.concatenate([np.isin(np.arange(64), range(16, 48)), np.arange(32) < 16, np.zeros(64, bool)])
    np.save(tmp_path / "gt.npy", labels)
    ucf[-1] = tmp_path / "gt.npy"
    again = ["benchmark", "--protocol", "ucf-crime", *ucf, "--out", tmp_path / "again", "--resamples", "10"]
    assert run(*again) == 0
    assert json.loads((tmp_path / "again" / "figures.json").read_text())["figures"] == content["figures"]


@pytest.mark.slow
def test_xd_violence_averages_five_files(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], head: Path
) -> None:
    """Each file alone puts the ordinary clip first or last; only their mean, 0.5 and 0.4, is right."""
    folder = tmp_path / "features"
    folder.mkdir()
    names = []
    for part, (anomalous, ordinary) in enumerate([(0.9, 0.1), (0.8, 0.2), (0.3, 0.6), (0.3, 0.6), (0.2, 0.5)]):
        for name, scores in (("A__#1_label_B1-0-0", [anomalous, ordinary]), ("B__#2_label_A", [0.45, ordinary])):
            names.append(f"{name}__{part}")
            np.save(folder / f"{names[-1]}.npy", features_of(scores)[:, 0])
    (tmp_path / "xd.list").write_text("".join(f"i3d-features/RGBTest/{name}.npy\n" for name in sorted(names)))
    truth = write_intervals(tmp_path / "xd.json", {"A__#1_label_B1-0-0": (30, [(0, 16)]), "B__#2_label_A": (32, [])})
    flags = ["--head", head, "--list", tmp_path / "xd.list", "--ground-truth", truth, "--features", folder]
    out = tmp_path / "out"
    assert run("benchmark", "--protocol", "xd-violence", *flags, "--out", out, "--resamples", "10") == 0
    content = json.loads((out / "figures.json").read_text())
    assert next(iter(content["figures"])) == "average_precision"
    assert content["figures"]["average_precision"]["value"] == pytest.approx(1.0)
    tops = [entry["top_score"] for entry in content["videos"]]
    np.testing.assert_allclose(tops, [0.5, 0.45], atol=1e-4)
    assert [entry["name"] for entry in content["classes"]] == ["Fighting"]
    note = "A__#1_label_B1-0-0: features 32 frames, ground truth 30; measured over 30, last scores not used"
    assert content["notes"] == [note]
    captured = capsys.readouterr()
    assert f"note: {note}" in captured.err
    assert note in (out / "report.html").read_text()
    assert (out / "plots" / "A__#1_label_B1-0-0.png").is_file()


@pytest.mark.slow
def test_a_ground_truth_of_zeros_for_a_class_is_refused_unless_trusted(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    """As the file is that MGFN's authors released: whole classes count as normal."""
    labels = np.concatenate([np.isin(np.arange(64), range(16, 48)), np.zeros(32, bool), np.zeros(64, bool)])
    np.save(tmp_path / "gt.npy", labels)
    ucf[-1] = tmp_path / "gt.npy"
    flags = ["benchmark", "--protocol", "ucf-crime", *ucf, "--resamples", "10"]
    assert run(*flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gt.npy: 1 abnormal videos have no anomalous frame: Arson002_x264_i3d" in line
    assert "--trust-ground-truth" in line
    assert run(*flags, "--trust-ground-truth", "--out", tmp_path / "out") == 0
    note = "1 abnormal videos have no anomalous frame: Arson002_x264_i3d"
    assert f"note: {note}" in capsys.readouterr().err
    content = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert content["notes"] == [note]
    assert content["anomalous_frames"] == 32
    assert note in (tmp_path / "out" / "report.html").read_text()


def test_a_video_that_is_named_like_an_emoji_is_printed_as_it_is(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], head: Path
) -> None:
    names = {"Abuse001:b:[bold]": [0.9, 0.2], "Normal_Videos_2:smiley:": [0.1, 0.3]}
    listed = write_videos(tmp_path / "features", names)
    truth = write_intervals(
        tmp_path / "t.json", {"Abuse001:b:[bold]": (30, [(0, 16)]), "Normal_Videos_2:smiley:": (31, [])}
    )
    flags = ["--head", head, "--list", listed, "--ground-truth", truth, "--resamples", "10"]
    assert run("benchmark", "--protocol", "ucf-crime", *flags) == 0
    said = capsys.readouterr().err
    assert "note: Abuse001:b:[bold]: features 32 frames" in said
    assert "note: Normal_Videos_2:smiley:: features 32 frames" in said
