"""`mgfn-eval doctor` finds each planted fault, and nothing in data without one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mgfn.evaluation.doctor import MIRRORS, UCF_CLASSES
from tests.mgfn.evaluation.conftest import Run

CLIPS, CHANNELS = 12, 768


def features(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(CLIPS, 10, CHANNELS): a common scene, five views of it, and their mirror images in the published places."""
    rng = np.random.default_rng(seed)
    views = np.maximum(rng.normal(size=(CLIPS, 1, CHANNELS)) + 0.5 * rng.normal(size=(CLIPS, 5, CHANNELS)), 0)
    out = np.empty((CLIPS, 10, CHANNELS), np.float32)
    out[:, :5] = views
    for view, mirror in enumerate(MIRRORS):
        out[:, mirror] = views[:, view] + 0.1 * rng.random((CLIPS, CHANNELS))
    return out


class Data:
    """A video of each class of UCF-Crime and a normal one, two for training, and the flags that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "features"
        self.folder.mkdir()
        self.test = [f"{name}{index:03d}_x264" for index, name in enumerate(UCF_CLASSES)] + ["Normal_Videos_999_x264"]
        self.train = ["Abuse500_x264", "Normal_Videos_501_x264"]
        for seed, name in enumerate([*self.test, *self.train]):
            self.write(name, features(seed))
        self.truth = {name: {"frames": 16 * CLIPS, "anomalous": [[16, 32]]} for name in self.test[:-1]}
        self.truth[self.test[-1]] = {"frames": 16 * CLIPS, "anomalous": []}
        self.root = folder

    def write(self, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        np.save(self.folder / f"{name}.npy", array)

    def flags(self) -> list[object]:
        (self.root / "test.list").write_text("\n".join(self.test))
        (self.root / "train.list").write_text("\n".join(self.train))
        (self.root / "truth.json").write_text(json.dumps(self.truth))
        flags: list[object] = ["doctor", "--features", self.folder, "--list", self.root / "test.list"]
        return [*flags, "--ground-truth", self.root / "truth.json", "--train-list", self.root / "train.list"]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def found(run: Run, capsys: pytest.CaptureFixture[str], *flags: object) -> tuple[int, list[str], str]:
    """Exit code, the lines of problems, the whole output."""
    code = run(*flags)
    out = capsys.readouterr().out
    return code, [line for line in out.splitlines() if line.startswith("problem")], out


def test_nothing_is_wrong(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    code, problems, out = found(run, capsys, *data.flags())
    assert (code, problems) == (0, []), out
    for part in (
        "10 crops of 768 channels",
        "no --reference is given",
        "mirror images of 14 files",
        "no problems found",
    ):
        assert part in out


def test_wrong_axes(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    data.write(data.test[0], features(0).transpose(2, 1, 0))
    data.write(data.test[1], features(1).transpose(1, 0, 2))
    code, problems, out = found(run, capsys, *data.flags())
    assert code == 1
    assert any("Abuse000_x264" in line and "(768, 10, 12)" in line for line in problems), out
    assert "not listed" not in out
    assert any("Arrest001_x264.npy: shape (10, 12, 768)" in line for line in problems), out


def test_all_files_with_wrong_axes(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    for seed, name in enumerate(data.test):
        data.write(name, features(seed).transpose(2, 1, 0))
    code, problems, out = found(run, capsys, *data.flags())
    assert (code, "wrong order of axes" in " ".join(problems)) == (1, True), out


def test_a_missing_class(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    """Of the ground truth, as in the released file, and of the list."""
    data.truth["Robbery008_x264"]["anomalous"] = []
    gone = next(name for name in data.test if name.startswith("Arson"))
    data.test.remove(gone)
    code, problems, out = found(run, capsys, *data.flags())
    assert code == 1
    assert any("1 abnormal videos have no anomalous frame: Robbery008_x264" in line for line in problems), out
    assert any("no listed video of Arson" in line for line in problems), out
    assert any(f"1 videos of the ground truth are not listed: {gone}" in line for line in problems), out


def test_swapped_crops(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    swapped = features(3)
    swapped[:, [0, 7]] = swapped[:, [7, 0]]
    data.write(data.test[3], swapped)
    code, problems, out = found(run, capsys, *data.flags())
    assert (code, len(problems)) == (1, 1), out
    assert "1 of 14 files have crops in another order: Assault003_x264" in problems[0]


def test_a_training_video_in_the_test_list(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    """By name, and by content under another name."""
    data.train += [data.test[0], "Renamed700_x264"]
    data.write("Renamed700_x264", features(4))
    code, problems, out = found(run, capsys, *data.flags())
    assert (code, len(problems)) == (1, 1), out
    assert "2 test videos are in the training list: Abuse000_x264; Burglary004_x264 is Renamed700_x264" in problems[0]


def test_missing_files_lengths_and_totals(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    (data.folder / f"{data.test[5]}.npy").unlink()
    code, problems, out = found(run, capsys, *data.flags())
    assert code == 1
    assert "1 videos are missing" in problems[0], out
    data.write(data.test[5], features(5))
    data.truth[data.test[5]]["frames"] = 16 * CLIPS + 40
    code, problems, out = found(run, capsys, *data.flags())
    assert "lengths of 1 videos differ by more than 16 frames" in problems[0], out


def test_statistics_are_compared_with_a_saved_reference(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], data: Data
) -> None:
    saved = tmp_path / "reference.json"
    assert found(run, capsys, *data.flags(), "--save-reference", saved)[0] == 0
    code, _, out = found(run, capsys, *data.flags(), "--reference", saved)
    assert (code, "like the reference" in out) == (0, True)
    for seed, name in enumerate(data.test):
        data.write(name, features(seed) * 2)
    code, problems, out = found(run, capsys, *data.flags(), "--reference", saved)
    assert code == 1
    assert "do not look like the reference: mean" in problems[0], out
    assert "norm" in problems[0]


def test_bad_input(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    flags = data.flags()
    (tmp_path / "other.json").write_text("{}")
    assert run(*flags, "--reference", tmp_path / "other.json") == 2
    assert "is not a file written by --save-reference" in capsys.readouterr().err
    flags[2] = tmp_path / "nowhere"
    assert run(*flags) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_class_totals(run: Run, capsys: pytest.CaptureFixture[str], data: Data) -> None:
    """Both videos of Abuse, with far more than the annotation's 160 frames."""
    data.test.append("Abuse900_x264")
    data.write("Abuse900_x264", features(90))
    data.truth["Abuse900_x264"] = {"frames": 16 * CLIPS, "anomalous": [[0, 16 * CLIPS]]}
    data.truth[data.test[0]]["anomalous"] = [[0, 16 * CLIPS]]
    code, problems, out = found(run, capsys, *data.flags())
    assert code == 1
    assert "Abuse has 384 anomalous frames, the annotation 160" in problems[0], out
