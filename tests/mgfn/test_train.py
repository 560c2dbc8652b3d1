"""`mgfn-train` as a user runs it: it learns, goes on after a kill, says what is wrong, stays small."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner, Result

from mgfn.checkpoint import load_head
from mgfn.evaluation.metrics import Frames, ScoredVideo
from mgfn.evaluation.scoring import video_scores
from mgfn.paper import Paper, PaperConfig
from mgfn.training.cli import app
from mgfn.training.compose import Composer, Mixture
from mgfn.training.dataset import LabelledVideo
from mgfn.training.loop import batch_of
from mgfn.training.segments import Segments, segment
from mgfn.training.validation import validate
from tests.mgfn.test_training import CHANNELS, takes

CONFIG = """
network: {kind: mgfn, structure: GF, alpha: 0.1, dropout: 0.1}
loss:
  selection_dropout: 0.3
  smoothness: {weight: 0.0008}
  sparsity: {weight: 0.008}
  magnitude: {form: contrastive, weight: 0.001, margin: 10}
optimizer: {learning_rate: 0.003, clip: 1.0}
videos: 4
steps: 4
validate_every: 2
"""


def write_videos(folder: Path, train: int, test: int) -> Path:
    """Composed videos of 30 to 60 clips, half of them with an incident; tests have other cameras. Gives the CSV."""
    folder.mkdir(exist_ok=True)
    rows = ["file,label,split"]
    for split, count in (("train", train), ("test", test)):
        rng = np.random.default_rng(len(split))
        composer = Composer(takes(seed=len(split)), Mixture(tampering=0.0), rng)
        for index in range(count):
            stream = composer.stream(int(rng.integers(30, 60)), anomalous=bool(index % 2))
            np.save(folder / f"{split}{index}.npy", stream.features)
            rows.append(f"{split}{index},{('normal', 'abnormal')[index % 2]},{split}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"), train=12, test=6)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path / "config.yaml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def state(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path)


def test_batches_use_every_video_before_any_comes_again() -> None:
    batches = [batch_of(10, 4, step, seed=0, group=0) for step in range(5)]
    assert sorted([*batches[0], *batches[1], *batches[2][:2]]) == list(range(10))
    assert sorted([*batches[2][2:], *batches[3], *batches[4]]) == list(range(10))
    assert batch_of(10, 4, 3, seed=0, group=0) == batches[3]
    assert batch_of(10, 4, 3, seed=1, group=0) != batches[3]
    assert sorted(batch_of(2, 5, 0, seed=0, group=0)) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])


@pytest.mark.slow
def test_a_run_and_what_it_leaves(tmp_path: Path, labels: Path, config: Path) -> None:
    out = tmp_path / "run"
    result = run("--config", config, "--labels", labels, "--out", out, "--select", "test-best", "--device", "cpu")
    assert result.exit_code == 0, result.output
    history = json.loads((out / "metrics.json").read_text())
    assert [entry["step"] for entry in history] == [2, 4]
    assert {"loss", "cross-entropy", "smoothness", "sparsity", "magnitude", "auc", "ap"} <= set(history[0])
    assert history[0]["loss"] == pytest.approx(
        sum(history[0][name] for name in ("cross-entropy", "smoothness", "sparsity", "magnitude")), rel=1e-5
    )
    best = max(history, key=lambda entry: entry["auc"])
    head, texts = load_head(out / "best.safetensors")
    assert head.config.channels == CHANNELS
    assert (texts["selection"], texts["step"]) == ("test-best", str(best["step"]))
    assert "video-level AUC" in texts["measured"]
    assert load_head(out / "last.safetensors")[1]["step"] == "4"
    assert list((out / "tensorboard").glob("events.*"))
    again = run("--config", config, "--labels", labels, "--out", out)
    assert (again.exit_code, "must be a new or empty folder" in again.output) == (2, True)


def test_training_on_single_clips_is_another_run_with_the_same_checks(
    tmp_path: Path, labels: Path, config: Path
) -> None:
    trained = {}
    for part in ("mean", "clip"):
        config.write_text(CONFIG + f"data: {{parts: 8, part: {part}}}\n")
        for name in ("a", "b"):
            assert run("--config", config, "--labels", labels, "--out", tmp_path / (part + name)).exit_code == 0
        first, second = (state(tmp_path / (part + name) / "last.safetensors") for name in ("a", "b"))
        assert all(torch.equal(first[key], second[key]) for key in first)
        trained[part] = first
    assert any(not torch.equal(trained["mean"][key], trained["clip"][key]) for key in trained["mean"])
    config.write_text(CONFIG + "data: {part: median}\n")
    result = run("--config", config, "--labels", labels, "--out", tmp_path / "c")
    assert (result.exit_code, "data.part: 'median'; allowed: 'mean' or 'clip'" in result.output) == (2, True)


def test_going_on_gives_the_result_of_an_uninterrupted_run(
    tmp_path: Path, labels: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("--config", config, "--labels", labels, "--select", "test-best")
    assert run(*common, "--out", tmp_path / "whole").exit_code == 0
    monkeypatch.setattr("mgfn.training.loop.loss_terms", interrupted_after(3))
    stopped = run(*common, "--out", tmp_path / "cut")
    assert (stopped.exit_code != 0, "with --resume continues after step 2" in stopped.output) == (True, True)
    monkeypatch.setattr("mgfn.training.loop.loss_terms", interrupted_after(1))
    stopped = run(*common, "--out", tmp_path / "early")
    assert "with --resume starts again: the first validation was not reached" in stopped.output
    monkeypatch.undo()
    early = run(*common, "--out", tmp_path / "early", "--resume", "--steps", 1)
    assert "early; starting at step 1" in " ".join(early.output.split())
    assert json.loads((tmp_path / "cut" / "metrics.json").read_text())[-1]["step"] == 2
    resumed = run(*common, "--out", tmp_path / "cut", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "--resume: continuing after step 2\n" in resumed.output
    for name in ("last.safetensors", "best.safetensors"):
        whole, cut = state(tmp_path / "whole" / name), state(tmp_path / "cut" / name)
        assert all(torch.equal(whole[key], cut[key]) for key in whole)
    assert (tmp_path / "whole" / "metrics.json").read_bytes() == (tmp_path / "cut" / "metrics.json").read_bytes()
    other = run(*common, "--out", tmp_path / "cut", "--resume", "--seed", "1")
    assert (other.exit_code, "belongs to another run: seed was 0, is 1" in other.output) == (2, True)


def test_a_standardising_network_knows_the_normal_videos(tmp_path: Path, labels: Path, config: Path) -> None:
    config.write_text(CONFIG.replace("dropout: 0.1", "standardise: true"))
    assert run("--config", config, "--labels", labels, "--out", tmp_path / "run", "--steps", 1).exit_code == 0
    head, _ = load_head(tmp_path / "run" / "last.safetensors")
    parts = [segment(labels.parent / f"train{index}.npy", 32) for index in range(0, 12, 2)]  # even ones are normal
    seen = np.concatenate(parts)[:, 0]
    np.testing.assert_allclose(head.get_buffer("feature_mean").numpy(), seen.mean(axis=0), rtol=1e-5)
    deviation = seen.std(axis=0, ddof=1)
    expected = deviation + 0.1 * deviation.mean()
    np.testing.assert_allclose(head.get_buffer("feature_deviation").numpy(), expected, rtol=1e-4)


def interrupted_after(steps: int) -> object:
    from mgfn.training.objective import loss_terms

    calls = iter(range(steps))

    def raising(*arguments: object) -> object:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return loss_terms(*arguments)  # type: ignore[arg-type]

    return raising


def test_frames_are_measured_where_there_is_a_truth(tmp_path: Path, labels: Path, config: Path) -> None:
    truth = {}
    for index in range(6):
        clips = len(np.load(labels.parent / f"test{index}.npy"))
        truth[f"test{index}"] = {"frames": clips * 16, "anomalous": [[0, 64]] if index % 2 else []}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    arguments = ("--config", config, "--labels", labels, "--ground-truth", tmp_path / "truth.json", "--steps", 2)
    result = run(*arguments, "--out", tmp_path / "run", "--precision", "bf16")
    assert result.exit_code == 0, result.output
    entry = json.loads((tmp_path / "run" / "metrics.json").read_text())[-1]
    assert (entry["by"], entry["videos"]) == ("frame", 6)


def test_xd_violence_files_are_items_and_scores_their_mean(tmp_path: Path, config: Path) -> None:
    config.write_text(CONFIG.replace("videos: 4", "videos: 3") + "data: {layout: xd-violence, crops: 1}\n")
    names = [f"film{i}_label_{'AB'[i % 2]}" for i in range(4)]
    for name in names:
        for crop in range(5):
            np.save(tmp_path / f"{name}__{crop}.npy", np.random.default_rng(crop).random((40, CHANNELS), np.float32))
    (tmp_path / "train.list").write_text("\n".join(names))
    result = run("--config", config, "--labels", tmp_path / "train.list", "--out", tmp_path / "run", "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "4 training videos (2 abnormal, in 20 files that each count as an item)" in result.output


def test_validation_finds_what_the_benchmark_finds_also_where_scores_are_nearly_equal(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head, rng = Paper(PaperConfig(64)).eval(), np.random.default_rng(0)
    videos, scored = [], []
    for index in range(8):
        clips = int(rng.integers(20, 60))
        whole = rng.random((clips, 5, 64), dtype=np.float32)
        files = tuple(tmp_path / f"v{index}__{crop}.npy" for crop in range(5))
        for crop, file in enumerate(files):
            np.save(file, whole[:, crop])
        videos.append(LabelledVideo(f"v{index}", files, bool(index % 2), "test"))
        labels = (np.arange(16 * clips) < 160) & bool(index % 2)
        scored.append(ScoredVideo(f"v{index}", video_scores(head, whole), labels))
    truth = {video.name: video.labels for video in scored}
    found = validate(head, videos, truth, Segments(tmp_path / "kept", 32), torch.device("cpu"), 3)
    wanted = Frames(scored).measure()
    assert (found.auc, found.ap) == pytest.approx((wanted.auc, wanted.average_precision), abs=1e-12)


def test_what_is_not_looked_at_and_what_says_little_is_said(tmp_path: Path, labels: Path, config: Path) -> None:
    result = run("--config", config, "--labels", labels, "--out", tmp_path / "run", "--select", "val", "--steps", 1)
    assert result.exit_code == 0, result.output
    assert "--select val: 6 videos of the split test are not used" in result.output
    assert "only 2 evaluation videos: the figures are unreliable" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--config", "nothing"], "--config nothing: no such file or preset"),
        (["--device", "tpu"], "--device tpu; must be cpu or cuda"),
        (["--precision", "int8"], "--precision int8; must be float32 or bf16"),
        (["--select", "best"], "select: 'best'; allowed: 'last', 'val' or 'test-best'"),
        (["--steps", "0"], "steps: 0; allowed: from 1"),
        (["--features", "/nowhere"], "--features /nowhere: no such folder"),
        (["--labels", "/nowhere.csv"], "/nowhere.csv: No such file"),
        (["--resume"], "does not contain a run"),
        (["--config", "paper-ucf-crime"], "1 crops of 64 channels, expected 10 of 64"),
        (["--ground-truth", "/nowhere.json"], "--ground-truth /nowhere.json: No such file"),
    ],
)
def test_wrong_use_is_2_and_leaves_nothing(
    tmp_path: Path, labels: Path, config: Path, arguments: list[str], says: str
) -> None:
    out = tmp_path / "run"
    given = {"--config": str(config), "--labels": str(labels), "--out": str(out)}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=False))
    flat = [part for pair in given.items() for part in pair] + (["--resume"] if arguments == ["--resume"] else [])
    result = run(*flat)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output
    assert not (out / "state.pt").exists()


def test_no_labels_at_all(tmp_path: Path, config: Path) -> None:
    result = run("--config", config, "--out", tmp_path / "run")
    assert (result.exit_code, "--labels: is missing" in result.output) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "steps"), [("rtfm", 20), ("sultani", 60), ("small-data", 200)])
def test_training_on_composed_videos_learns(tmp_path: Path, preset: str, steps: int) -> None:
    labels = write_videos(tmp_path / "videos", train=200, test=40)
    result = run("--config", preset, "--labels", labels, "--out", tmp_path / "run", "--steps", steps)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())[-1]["auc"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on(
    tmp_path: Path, labels: Path, config: Path, signum: signal.Signals, code: int
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "mgfn.training.cli", "--config", str(config)]
    command += ["--labels", str(labels), "--out", str(out)]
    with subprocess.Popen([*command, "--steps", "100000"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 2 of"):
                break
        process.send_signal(signum)
        rest = process.stderr.read()
        assert process.wait(60) == code
    assert "--resume continues" in rest
    assert (out / "state.pt").is_file()


@pytest.mark.slow
def test_long_features_are_read_in_little_memory(tmp_path: Path, config: Path) -> None:
    """Sparse files: 16 videos of ten crops, 3.4 GB, one of them 1.3 GB; a few steps stay under 2 GiB."""
    rows = ["file,label"]
    for index in range(16):
        clips = 16000 if index == 0 else 1700
        shape = (clips, 10, 2048)
        header = np.lib.format.header_data_from_array_1_0(np.empty(0, np.float32)) | {"shape": shape}
        with (tmp_path / f"v{index}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            os.truncate(file.fileno(), file.tell() + 4 * int(np.prod(shape)))
        rows.append(f"v{index},{('normal', 'abnormal')[index % 2]}")
    (tmp_path / "l.csv").write_text("\n".join(rows))
    command = [sys.executable, "-m", "mgfn.training.cli", "--config", "paper-ucf-crime", "--labels"]
    highest = 0
    with subprocess.Popen([*command, tmp_path / "l.csv", "--out", tmp_path / "run", "--steps", "2"]) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                highest = max(highest, watched.memory_info().rss)
                process.wait(0.05)
            except (subprocess.TimeoutExpired, psutil.NoSuchProcess):
                continue
    assert process.returncode == 0
    assert 0 < highest < 2 << 30
