"""`mgfn-eval` as a user calls it: scores, benchmarks whose figures are known, streaming truth, wrong use."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mgfn.evaluation import cli
from mgfn.network import Mgfn, MgfnConfig
from tests.mgfn.evaluation.known import features_of, known_head, write_intervals, write_videos
from tests.mgfn.test_network import SHAPES, released, seeded

UCF = {
    "Abuse001_x264_i3d": [0.2, 0.9, 0.6, 0.1],
    "Arson002_x264_i3d": [0.7, 0.3],
    "Normal_Videos_003_x264_i3d": [0.1, 0.65, 0.2, 0.3],
}
UCF_TRUTH: dict[str, tuple[int, list[tuple[int, int]]]] = {
    "Abuse001_x264": (64, [(16, 48)]),
    "Arson002_x264": (32, [(0, 16)]),
    "Normal_Videos_003_x264": (64, []),
}


@pytest.fixture(autouse=True)
def keep_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.fixture
def head(tmp_path: Path) -> Path:
    return known_head(tmp_path / "head.safetensors")


@pytest.fixture
def ucf(tmp_path: Path, head: Path) -> list[object]:
    """Flags of a benchmark on three composed videos of ten crops."""
    listed = write_videos(tmp_path / "features", UCF, crops=10)
    truth = write_intervals(tmp_path / "truth.json", UCF_TRUTH)
    return ["--head", head, "--list", listed, "--ground-truth", truth]


def test_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: Path) -> None:
    write_videos(tmp_path / "features", UCF)
    inputs = sorted((tmp_path / "features").glob("*.npy"))
    for _ in range(2):  # scores of an earlier run are replaced
        assert run(monkeypatch, "score", "--head", head, *inputs, "--out", tmp_path / "new" / "scores") == 0
    assert sorted(path.name for path in (tmp_path / "new" / "scores").iterdir()) == [path.name for path in inputs]
    for name, expected in UCF.items():
        scores = np.load(tmp_path / "new" / "scores" / f"{name}.npy")
        assert (scores.dtype, scores.shape) == (np.float32, (len(expected),))
        np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.slow
def test_a_checkpoint_of_the_released_layout_gives_the_authors_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and shapes as published, weights seeded, against the direct rendering of the description."""
    config = MgfnConfig.released()
    state = seeded(config).state_dict()
    if SHAPES.exists():
        published = json.loads(SHAPES.read_text())
        assert {name: list(value.shape) for name, value in state.items()} == published
    torch.save(state, tmp_path / "mgfn_ucf.pkl")
    rng = np.random.default_rng(0)
    features = {clips: rng.random((clips, 10, 2048), dtype=np.float32) for clips in (32, 77)}
    for clips, array in features.items():
        np.save(tmp_path / f"{clips}.npy", array)
    inputs = [tmp_path / f"{clips}.npy" for clips in features]
    assert run(monkeypatch, "score", "--head", tmp_path / "mgfn_ucf.pkl", *inputs, "--out", tmp_path / "scores") == 0
    exact = {name: value.numpy().astype(np.float64) for name, value in state.items()}
    for clips, array in features.items():
        scores = np.load(tmp_path / "scores" / f"{clips}.npy")
        assert scores.std() > 1e-4
        np.testing.assert_allclose(scores, released(array.astype(np.float64), exact, config), atol=1e-5)


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


def test_a_benchmark_of_known_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    out = tmp_path / "runs" / "ucf"
    arguments = ["benchmark", "--protocol", "ucf-crime", *ucf, "--out", out, "--resamples", "10"]
    assert run(monkeypatch, *arguments) == 0
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
        assert picture.shape == (144, 560, 3)
        blue, red = picture[..., 0].astype(int), picture[..., 2].astype(int)
        assert (blue - red > 80).any()  # the score's line
        assert (red - blue > 40).any() == ("Normal" not in name)  # anomalous frames are shaded
    text = (out / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "0.9524" in text
    assert {path.name for path in out.iterdir()} == {"figures.json", "report.html", "plots"}
    assert [path.name for path in out.parent.iterdir()] == ["ucf"]
    # the same figures from concatenated labels, and the seed decides the intervals
    labels = np.concatenate([np.isin(np.arange(64), range(16, 48)), np.arange(32) < 16, np.zeros(64, bool)])
    np.save(tmp_path / "gt.npy", labels)
    ucf[-1] = tmp_path / "gt.npy"
    again = ["benchmark", "--protocol", "ucf-crime", *ucf, "--out", tmp_path / "again", "--resamples", "10"]
    assert run(monkeypatch, *again) == 0
    assert json.loads((tmp_path / "again" / "figures.json").read_text())["figures"] == content["figures"]


def test_xd_violence_averages_five_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], head: Path
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
    assert run(monkeypatch, "benchmark", "--protocol", "xd-violence", *flags, "--out", out, "--resamples", "10") == 0
    content = json.loads((out / "figures.json").read_text())
    assert next(iter(content["figures"])) == "average_precision"
    assert content["figures"]["average_precision"]["value"] == pytest.approx(1.0)
    tops = [entry["top_score"] for entry in content["videos"]]
    np.testing.assert_allclose(tops, [0.5, 0.45], atol=1e-4)
    assert [entry["name"] for entry in content["classes"]] == ["Fighting"]
    note = "A__#1_label_B1-0-0: features 32 frames, ground truth 30; measured over 30, the last scores left out"
    assert content["notes"] == [note]
    captured = capsys.readouterr()
    assert f"note: {note}" in captured.err
    assert note in (out / "report.html").read_text()
    assert (out / "plots" / "A__#1_label_B1-0-0.png").is_file()


def test_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    out = tmp_path / "live"
    assert run(monkeypatch, "stream", *ucf, "--threshold", "0.75", "--fps", "16", "--out", out) == 0
    content = json.loads((out / "figures.json").read_text())
    assert (content["threshold"], content["threshold_from"], content["frames_per_second"]) == (0.75, "--threshold", 16)
    assert [entry["look_ahead"] for entry in content["look_ahead"]] == [0, 1, 2]
    for ahead, entry in enumerate(content["look_ahead"]):
        # this head looks at single clips: look-ahead costs time and changes nothing else
        assert entry["auc"] == pytest.approx(1 - 1 / (3 * 7))
        assert (entry["incidents"], entry["found"], entry["false_alarms"]) == (2, 1, 0)
        assert entry["delays"] == [1.0 + ahead]
        assert entry["false_alarms_an_hour_bound"] == pytest.approx(2.9957 / (4 / 3600), rel=1e-4)
    printed = capsys.readouterr().out
    for part in ("threshold 0.75 (--threshold)", "1 of 2", "95 % upper bound", "ordinary time in alarm"):
        assert part in printed
    # ordinary recordings alone tell of false alarms, though no curve can be drawn
    normal = write_videos(tmp_path / "normal", {"Normal_Videos_003_x264_i3d": [0.1, 0.65, 0.2, 0.3]})
    ucf[3] = normal
    assert run(monkeypatch, "stream", *ucf, "--out", tmp_path / "quiet") == 0
    quiet = json.loads((tmp_path / "quiet" / "figures.json").read_text())
    assert (quiet["threshold"], quiet["threshold_from"]) == (0.5, "the checkpoint names none")
    assert quiet["look_ahead"][0]["auc"] is None
    assert quiet["look_ahead"][0]["false_alarms"] == 1
    assert quiet["look_ahead"][0]["time_in_alarm"] == pytest.approx(1 / 4)


def test_the_threshold_of_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    ucf[1] = known_head(tmp_path / "with.safetensors", {"threshold_on": "0.62"})
    assert run(monkeypatch, "stream", *ucf) == 0
    assert "threshold 0.62 (the checkpoint's)" in capsys.readouterr().out


def replaced(flags: list[object], **changes: object) -> list[object]:
    found = list(flags)
    for name, value in changes.items():
        flag = f"--{name.replace('_', '-')}"
        if flag in found:
            found[found.index(flag) + 1] = value
        else:
            found += [flag, value]
    return found


@pytest.mark.parametrize(
    ("command", "changes", "says"),
    [
        ("benchmark", {"protocol": "ucf"}, "'--protocol': .*'ucf' is not one of 'ucf-crime', 'xd-violence'"),
        ("benchmark", {"head": "none.pkl"}, "head none.pkl: no such file"),
        ("benchmark", {"head": "{tmp}/other.pkl"}, "3 entries .* 2 channels, expected 64; .*Arson002.*Normal_"),
        ("benchmark", {"list": "{tmp}/empty.list"}, "--list .*empty.list: is empty"),
        ("benchmark", {"list": "{tmp}/gone.list"}, r"1 entries do not fit .*Gone\.npy: No such file"),
        ("benchmark", {"list": "{tmp}/nan.list"}, r"nan\.npy: 1 clips hold NaN or infinity, first clip 1"),
        ("benchmark", {"ground_truth": "{tmp}/short.npy"}, "159 frames, the features of the 3 listed videos have 160"),
        ("benchmark", {"ground_truth": "{tmp}/long.json"}, "of 2 videos.*Abuse001.*64.*200; Normal_Videos.*64.*99"),
        ("benchmark", {"ground_truth": "{tmp}/calm.json"}, "no anomalous frame in the listed videos"),
        ("benchmark", {"ground_truth": "{tmp}/wild.json"}, "no normal frame in the listed videos"),
        ("benchmark", {"out": "{tmp}"}, "is not empty; allowed: a new or empty folder"),
        ("benchmark", {"out": "{tmp}/head.safetensors"}, "is not empty"),
        ("benchmark", {"resamples": "0"}, "--resamples"),
        ("benchmark", {"features": "{tmp}/nowhere"}, "3 entries do not fit: .*nowhere.*No such file"),
        ("stream", {"threshold": "1.5"}, "--threshold 1.5: allowed is 0 to 1"),
        ("stream", {"threshold": "nan"}, "--threshold nan: allowed is 0 to 1"),
        ("stream", {"fps": "0"}, "--fps 0.0: allowed is 1 to 240"),
        ("stream", {"list": "{tmp}/empty.list"}, "is empty"),
        ("stream", {"out": "{tmp}"}, "is not empty"),
        ("stream", {"ground_truth": "{tmp}/none.json"}, "No such file"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ucf: list[object],
    command: str,
    changes: dict[str, str],
    says: str,
) -> None:
    torch.save(Mgfn(MgfnConfig.released(64)).state_dict(), tmp_path / "other.pkl") if "other.pkl" in str(
        changes
    ) else None
    (tmp_path / "empty.list").write_text("\n")
    (tmp_path / "gone.list").write_text(f"{tmp_path}/features/Abuse001_x264_i3d.npy\n{tmp_path}/Gone.npy\n")
    np.save(tmp_path / "nan.npy", np.array([[0.1, 0.2], [np.nan, 0.1]], np.float32))
    (tmp_path / "nan.list").write_text(f"{tmp_path}/nan.npy\n")
    np.save(tmp_path / "short.npy", np.zeros(159))
    timelines = dict(UCF_TRUTH)
    longer: dict[str, Any] = timelines | {"Abuse001_x264": (200, []), "Normal_Videos_003_x264": (99, [])}
    write_intervals(tmp_path / "long.json", longer)
    write_intervals(tmp_path / "calm.json", {name: (frames, []) for name, (frames, _) in timelines.items()})
    write_intervals(tmp_path / "wild.json", {name: (frames, [(0, frames)]) for name, (frames, _) in timelines.items()})
    if "nan.list" in str(changes):
        write_intervals(tmp_path / "truth.json", {"nan": (32, [(0, 16)])})
    given = {name: value.replace("{tmp}", str(tmp_path)) for name, value in changes.items()}
    flags = replaced(ucf, **({"out": tmp_path / "out"} | given))
    if command == "benchmark" and "protocol" not in given:
        flags += ["--protocol", "ucf-crime"]
    assert run(monkeypatch, command, *flags) == 2
    captured = capsys.readouterr()
    line = captured.err.rstrip("\n").splitlines()[-1]
    assert line.startswith("mgfn-eval: ")
    assert re.search(says, line), line
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("inputs", "out", "says"),
    [
        (["a.npy", "deep/a.npy"], "scores", "a.npy given more than once"),
        (["a.npy"], ".", "holds a.npy, which are no scores"),
        (["a.npy"], "a.npy", "is a file, allowed is a folder"),
        (["a.npy", "wide.npy"], "scores", "wide.npy: 3 channels, expected 2"),
        (["a.npy", "none.npy"], "scores", "none.npy: No such file"),
        (["a.npy", "nan.npy"], "scores", "nan.npy: 1 clips hold NaN"),
    ],
)
def test_wrong_inputs_of_score_leave_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    head: Path,
    inputs: list[str],
    out: str,
    says: str,
) -> None:
    folder = tmp_path / "features"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/a"):
        np.save(folder / f"{name}.npy", features_of([0.5]))
    np.save(folder / "wide.npy", np.ones((2, 3), np.float32))
    np.save(folder / "nan.npy", np.full((1, 2), np.nan, np.float32))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    paths = [folder / name for name in inputs]
    assert run(monkeypatch, "score", "--head", head, *paths, "--out", folder / out) == 2
    assert says in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ucf: list[object]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "sklearn" else object())
    assert run(monkeypatch, "stream", *ucf) == 2
    assert capsys.readouterr().err == "mgfn-eval: needs sklearn: pip install 'mgfn-stream[train]'\n"


@pytest.mark.parametrize("command", ["score", "benchmark", "stream"])
def test_help_shows_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(monkeypatch, command, "--help") == 0
    assert f"Example: mgfn-eval {command} --" in capsys.readouterr().out
