"""`mgfn-extract` as its users run it, on tiny models and real decoder processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch

from configs.atomic import PARTIAL, partial_path
from engine.arrays import FloatArray
from engine.engine import Engine
from engine.geometry import crops_of, write_crops
from stream.cli import mgfn_stream as stream_cli
from stream.extract import cli, extraction
from stream.extract.decoder import Ended
from tests.bundles import CHANNELS, TinyBackbone, write_tiny_bundle
from tests.servers.processes import until
from tests.servers.rtsp import moving_pictures, write_video


@pytest.fixture(autouse=True)
def keep_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos in nested folders, of 40 and 50 frames."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "deeper").mkdir()
    write_video(folder / "a.mp4", moving_pictures(40))
    write_video(folder / "deeper" / "b#1.c.mp4", moving_pictures(50, 400, 224, seed=1))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["mgfn-extract", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


def expected(video: Path, geometry: str) -> FloatArray:
    """Features of every whole clip, by PyTorch, from the frames that FFmpeg gives: (clips, crops, C)."""
    crops = crops_of(geometry)
    with av.open(str(video)) as container:
        frames = list(container.decode(video=0))
    pictures = np.zeros((len(frames), crops, 224, 224, 3), np.uint8)
    for frame, out in zip(frames, pictures, strict=True):
        write_crops(frame, geometry, out)
    clips = torch.from_numpy(pictures[: len(frames) // 16 * 16]).unflatten(0, (-1, 16)).transpose(1, 2)
    with torch.inference_mode():
        return TinyBackbone()(clips.flatten(0, 1)).unflatten(0, (-1, crops)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "geometry"), [([], "squash"), (["--crops", "10", "--batch", "7"], "ten")])
def test_a_folder_of_videos_becomes_features(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_bundle: Path,
    videos: Path,
    flags: list[str],
    geometry: str,
) -> None:
    out = tmp_path / "new" / "features"
    arguments = [videos, "--out", out, "--bundle", tiny_bundle, "--backend", "onnxruntime", *flags]
    assert run(monkeypatch, *arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.npy", "b#1.c.npy", "extract.json"]
    for name, path in (("a", videos / "a.mp4"), ("b#1.c", videos / "deeper" / "b#1.c.mp4")):
        features = np.load(out / f"{name}.npy")
        assert (features.dtype, features.flags.c_contiguous) == (np.float32, True)
        wanted = expected(path, geometry)
        assert features.shape == wanted.shape == (len(wanted), crops_of(geometry), CHANNELS)
        np.testing.assert_allclose(features, wanted, rtol=1e-4)
        # no crop takes another's place unseen
        assert len(np.unique(features[0], axis=0)) == crops_of(geometry)
    said = capsys.readouterr().err
    assert "a: 2 clips, 8 of 40 frames in no clip" in said
    assert "5 clips of 2 videos" in said


@pytest.mark.slow
def test_what_is_there_is_left_alone_and_what_is_not_whole_is_made_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path, videos: Path
) -> None:
    arguments = [videos, "--out", tmp_path, "--bundle", tiny_bundle, "--backend", "onnxruntime"]
    assert run(monkeypatch, *arguments) == 0
    whole, cut = tmp_path / "a.npy", tmp_path / "b#1.c.npy"
    before, content = whole.stat().st_mtime_ns, cut.read_bytes()
    cut.write_bytes(content[:-1])
    partial_path(whole).write_bytes(b"of a run that was killed")
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == 0
    assert "1 videos to extract, 1 already extracted" in (said := capsys.readouterr().err)
    assert "b#1.c.npy is incomplete" in said
    assert whole.stat().st_mtime_ns == before
    assert cut.read_bytes() == content


@pytest.mark.slow
def test_videos_that_cannot_be_read_are_listed_and_the_others_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path, videos: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "0garbage.mp4").write_bytes(b"no video" * 1000)
    (folder / "1empty.mkv").touch()
    whole = (videos / "a.mp4").read_bytes()
    (folder / "2cut.mp4").write_bytes(whole[: len(whole) // 2])
    write_video(folder / "3short.mp4", moving_pictures(15))
    (folder / "4good.mp4").write_bytes(whole)
    assert run(monkeypatch, folder, "--out", out, "--bundle", tiny_bundle, "--backend", "onnxruntime") == 1
    assert sorted(path.name for path in out.iterdir()) == ["4good.npy", "extract.json"]
    listed = capsys.readouterr().err.partition("4 of 5 videos failed:")[2].strip().splitlines()
    assert [line.partition(": ")[0].strip() for line in listed] == [
        str(folder / name) for name in ("0garbage.mp4", "1empty.mkv", "2cut.mp4", "3short.mp4")
    ]
    assert "not readable as video" in listed[0]
    assert listed[3].endswith("15 frames; a clip needs at least 16")


def cut_avi(path: Path, frames: int) -> Path:
    """A video whose file ends half-way."""
    write_video(path, moving_pictures(frames))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.slow
def test_a_video_that_is_cut_short_is_named_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_bundle: Path, videos: Path
) -> None:
    cut = cut_avi(tmp_path / "cut.avi", 80)
    arguments = [cut, videos / "a.mp4", "--out", tmp_path / "out", "--bundle", tiny_bundle, "--backend", "onnxruntime"]
    assert run(monkeypatch, *arguments) == 0
    said = capsys.readouterr().err.partition("1 of 2 videos are damaged or truncated")[2].splitlines()[1:]
    assert len(said) == 1
    assert said[0].startswith(f"  {cut}: ")
    assert "of the 80 frames that its headers state" in said[0]


@pytest.mark.parametrize(
    ("frames", "corrupt", "says"),
    [
        (15, 0, "15 frames; a clip needs at least 16"),
        (25, 9, "damaged: 25 frames, but never 16 without a gap; 9 corrupt ones left out"),
    ],
)
def test_why_a_video_gave_no_clip(frames: int, corrupt: int, says: str) -> None:
    assert extraction._too_few(Ended(frames, corrupt)) == says


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "VIDEO_OR_DIR"),
        (["VIDEOS"], "--out"),
        (["VIDEOS", "--out", "OUT", "--crops", "5"], "--crops 5: must be 1 or 10"),
        (["VIDEOS", "--out", "OUT", "--workers", "0"], "--workers 0: must be 1 or more"),
        (["VIDEOS", "--out", "OUT", "--workers", "2", "--cluster", "local"], "--workers: not with --cluster"),
        (
            ["VIDEOS", "--out", "OUT", "--device", "cuda:1", "--cluster", "local"],
            "--device cuda:1: with --cluster it must be auto, cpu or cuda",
        ),
        (["VIDEOS", "--out", "OUT", "--batch", "-1"], "--batch -1: must be 1 or more"),
        (["VIDEOS", "--out", "OUT", "--device", "tpu"], "--device tpu: must be auto, cpu, cuda[:N], gpu or npu"),
        (["VIDEOS", "--out", "OUT", "--backend", "tpu", "--bundle", "BUNDLE"], "backend 'tpu': unknown; allowed: auto"),
        (["VIDEOS", "--out", "OUT", "--bundle", "OUT"], "no manifest.json"),
        (["VIDEOS", "--out", "OUT", "--bundle", "BUNDLE", "--backbone", "i3d"], "do not use --backbone"),
        (["VIDEOS", "--out", "OUT", "--bundle", "BUNDLE", "--backbone-weights", "w"], "do not use --backbone"),
        (
            ["VIDEOS", "--out", "OUT", "--backbone-weights", "w.pth"],
            "--backbone-weights w.pth: cannot be read",
        ),
        (["VIDEOS", "--out", "VIDEOS/a.mp4", "--bundle", "BUNDLE"], "a.mp4: File exists"),
        (["rtsp://me:hunter2@host/1", "--out", "OUT"], "rtsp://***@host/1: no such video file or folder"),
        (["OUT", "--out", "OUT/o"], "OUT: no video in this folder"),
        (["VIDEOS/a.mp4", "VIDEOS", "--out", "OUT"], "VIDEOS/a.mp4 and VIDEOS/a.mp4 would both become a.npy"),
    ],
)
def test_wrong_use(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_bundle: Path,
    videos: Path,
    arguments: list[str],
    says: str,
) -> None:
    places = {"VIDEOS": str(videos), "OUT": str(tmp_path), "BUNDLE": str(tiny_bundle)}

    def real(text: str) -> str:
        for word, place in places.items():
            text = text.replace(word, place) if "VIDEO_OR" not in text else text
        return text

    assert run(monkeypatch, *map(real, arguments)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("mgfn-extract: ")
    assert real(says) in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_one_crop_of_a_bundle_that_cuts_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, videos: Path
) -> None:
    bundle = write_tiny_bundle(tmp_path / "two", crops=2)
    arguments = [videos / "a.mp4", "--out", tmp_path / "o", "--bundle", bundle, "--backend", "onnxruntime"]
    assert run(monkeypatch, *arguments, "--crops", "1") == 2
    assert "--crops 1: the geometry ends of the bundle has 2 crops" in capsys.readouterr().err
    assert run(monkeypatch, *arguments) == 0
    assert np.load(tmp_path / "o" / "a.npy").shape == (2, 2, CHANNELS)


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--help") == 0
    assert "Example: mgfn-extract " in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_features_give_the_scores_of_a_replay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path
) -> None:
    video = write_video(tmp_path / "long.mp4", moving_pictures(16 * 36))
    arguments = ["--bundle", tiny_bundle, "--backend", "onnxruntime"]
    assert run(monkeypatch, video, "--out", tmp_path / "o", *arguments) == 0
    replay = ["mgfn-stream", "--replay", "--rtsp", video, "--scores", tmp_path / "s.jsonl", *arguments]
    monkeypatch.setattr(sys, "argv", list(map(str, replay)))
    with pytest.raises(SystemExit) as stop:
        stream_cli.main()
    assert stop.value.code == 0
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    features = np.load(tmp_path / "o" / "long.npy")
    assert len(lines) == len(features) == 36
    with Engine.open(tiny_bundle, "onnxruntime", "cpu") as engine:
        windows = [features[max(0, last - 31) : last + 1] for last in range(len(features))]
        scores = [float(row[-1]) for row in engine.scores(windows)]
    assert [line["score"] for line in lines] == pytest.approx(scores, abs=2e-6)


@contextmanager
def extracting(videos: Path, out: Path, bundle: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "stream.extract.cli", videos, "--out", out, "--bundle", bundle]
    command += ["--backend", "onnxruntime", "--workers", "1", "--crops", "10"]  # ten times the work
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("long") / "long.mp4", moving_pictures(16 * 250, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_written(
    tmp_path: Path, tiny_bundle: Path, long_video: Path, signum: signal.Signals, code: int
) -> None:
    with extracting(long_video, tmp_path, tiny_bundle) as process:
        until(lambda: any(tmp_path.glob(f".long.*{PARTIAL}.npy")), seconds=60, what="the first clip")
        running = psutil.Process(process.pid)
        children = running.children()
        process.send_signal(signum)
        assert process.wait(20) == code  # 0.3 s on a machine with a core to spare
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert [path.name for path in tmp_path.iterdir()] == ["extract.json"]
    until(lambda: not any(child.is_running() for child in children), what="its processes being gone")


@pytest.mark.slow
def test_a_decoder_that_dies_costs_its_video_alone(tmp_path: Path, tiny_bundle: Path, long_video: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(long_video)
    write_video(folder / "b.mp4", moving_pictures(32))
    with extracting(folder, out, tiny_bundle) as process:
        until(lambda: any(out.glob(f".a.*{PARTIAL}.npy")), seconds=60, what="the first clip")
        (decoder,) = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
        decoder.kill()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "a.mp4: its decoder process was lost" in said
    assert sorted(path.name for path in out.iterdir()) == ["b.npy", "extract.json"]
    assert len(np.load(out / "b.npy")) == 2
