"""`mgfn-eval`: scores of feature files, the published benchmarks, and streaming figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from configs.atomic import replacing_folder
from configs.command import run_command
from configs.console import plain_console
from mgfn.evaluation.doctor_command import doctor
from mgfn.evaluation.hard_normal_command import hard_normal
from mgfn.evaluation.tables_command import tables
from mgfn.evaluation.videos import EvaluationError, Protocol, read_list

if TYPE_CHECKING:  # torch and scikit-learn take seconds to import
    from mgfn.truth import Truth
    from mgfn.videos import Video

_NEEDED = ("torch", "safetensors", "sklearn", "matplotlib")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True)

HeadOption = Annotated[
    Path, typer.Option(metavar="CKPT", help="Head: a checkpoint of this project, or the one released by the authors.")
]
ListOption = Annotated[Path, typer.Option("--list", metavar="FILE", help="List of feature files, one path per line.")]
TruthOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="Labels of all frames in list order (.npy), or intervals of frames for each video (.json): "
        '{"NAME": {"frames": N, "anomalous": [[first, end], ...]}}.',
    ),
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the listed files; default: as listed, or the folder of the list."),
]
OutOption = Annotated[Path | None, typer.Option(metavar="DIR", help="New or empty folder for the results.")]


@app.callback()
def evaluate() -> None:
    """Evaluate heads on feature files (one .npy for each video: float32, clips x crops x channels).

    Example: mgfn-eval score --head runs/mine/best.safetensors features/door.npy --out scores
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise EvaluationError(f"needs {', '.join(missing)}; run: pip install 'mgfn-stream[train]'")


@app.command()
def score(
    features: Annotated[list[Path], typer.Argument(metavar="FEATURES.npy...", help="One file for each video.")],
    head: HeadOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the scores: NAME.npy, float32 (clips,).")],
) -> None:
    """Score whole videos, one score for each clip of 16 frames, as in the authors' evaluation.

    Example: mgfn-eval score --head mgfn_ucf.pkl UCF_Test/*.npy --out scores
    """
    from mgfn.checkpoint import load_head
    from mgfn.evaluation.scoring import check_scores_folder, video_scores, write_scores
    from mgfn.features import check_finite, read_features

    names = [f"{path.name.removesuffix('.npy')}.npy" for path in features]
    check_scores_folder(out, names)
    network, _ = load_head(head)
    for path in features:  # report problems of all files before scoring the first
        read_features(path, network.config.channels)
    scores = {}
    with _progress("scoring", len(features)) as advance:
        for path, name in zip(features, names, strict=True):
            array = read_features(path, network.config.channels)
            check_finite(path, array)
            scores[name] = video_scores(network, array)
            advance()
    write_scores(out, scores)
    _say(f"{len(scores)} score files written to {out}")


@app.command()
def benchmark(
    protocol: Annotated[Protocol, typer.Option(metavar="NAME", help="ucf-crime or xd-violence.")],
    head: HeadOption,
    listed: ListOption,
    ground_truth: TruthOption,
    features: FeaturesOption = None,
    out: OutOption = None,
    resamples: Annotated[int, typer.Option(min=10, metavar="N", help="Number of bootstrap samples.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the bootstrap.")] = 0,
    trust: Annotated[
        bool,
        typer.Option("--trust-ground-truth", help="Continue even if the ground truth contradicts the video names."),
    ] = False,
) -> None:
    """Compute the published frame-level figures: AUC (UCF-Crime) or AP (XD-Violence), with 95 % intervals.

    With --out, writes figures.json, a plot for each video and report.html.

    Example: mgfn-eval benchmark --protocol ucf-crime --head mgfn_ucf.pkl --list ucf-i3d-test.list
    --features UCF_Test_ten_crop_i3d --ground-truth gt-ucf.npy --out runs/ucf
    """
    from mgfn.checkpoint import load_head
    from mgfn.evaluation.metrics import Frames, ScoredVideo, bootstrap, by_class
    from mgfn.evaluation.report import Benchmark, check_out, write_benchmark
    from mgfn.evaluation.scoring import video_scores
    from mgfn.evaluation.tables import print_benchmark
    from mgfn.truth import read_truth

    if out is not None:
        check_out(out)
    network, _ = load_head(head)
    videos = read_list(listed, features, network.config.channels, protocol)
    truth = read_truth(ground_truth, {video.name: video.clips for video in videos})
    anomalous = sum(int(label.sum()) for label in truth.labels)
    if anomalous in (0, sum(map(len, truth.labels))):
        kind = "no anomalous frame" if not anomalous else "no normal frame"
        raise EvaluationError(f"--ground-truth {ground_truth}: {kind} in the listed videos; AUC and AP need both")
    doubts = _doubts(ground_truth, truth, videos, protocol, trust)
    scored = []
    with _progress("scoring", len(videos)) as advance:
        for video, labels in zip(videos, truth.labels, strict=True):
            scored.append(ScoredVideo(video.name, video_scores(network, video.features()), labels))
            advance()
    frames = Frames(scored)
    with _progress("bootstrap", resamples) as advance:
        intervals = bootstrap(frames, resamples, seed, advance)
    result = Benchmark(
        protocol,
        _settings(head, listed, ground_truth) | {"resamples": resamples, "seed": seed},
        scored,
        truth,
        frames.measure(),
        intervals,
        by_class(protocol, scored),
        doubts,
    )
    for note in result.notes():
        _say(f"note: {note}")
    print_benchmark(result)
    if out is not None:
        with replacing_folder(out) as folder, _progress("plots", len(scored)) as advance:
            write_benchmark(result, folder, advance)
        _say(f"report written to {out}")


@app.command()
def stream(
    head: HeadOption,
    listed: ListOption,
    ground_truth: TruthOption,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="F", help="Alarm threshold, 0 to 1; default: that of the checkpoint, or 0.5."),
    ] = None,
    fps: Annotated[
        float, typer.Option(metavar="F", help="Frame rate of the videos; all times are computed from it.")
    ] = 25.0,
    features: FeaturesOption = None,
    out: OutOption = None,
) -> None:
    """Compute what a live user would get: each clip is scored when it arrives, or 1 or 2 clips later.

    With --out, writes figures.json.

    Example: mgfn-eval stream --head configs/heads/default.safetensors --list test.list --ground-truth test.json
    """
    from dataclasses import asdict

    from mgfn.annotation import contradictions
    from mgfn.checkpoint import load_head
    from mgfn.evaluation.live import live_figures
    from mgfn.evaluation.metrics import ScoredVideo
    from mgfn.evaluation.report import FIGURES, check_out, write_json
    from mgfn.evaluation.scoring import LOOK_AHEADS, causal_scores
    from mgfn.evaluation.tables import print_live
    from mgfn.evaluation.thresholds import alarm_threshold
    from mgfn.truth import read_truth

    if not 1 <= fps <= 240:
        raise EvaluationError(f"--fps {fps}: must be from 1 to 240")
    if out is not None:
        check_out(out)
    network, texts = load_head(head)
    chosen, origin = alarm_threshold(threshold, head, texts)
    videos = read_list(listed, features, network.config.channels)
    truth = read_truth(ground_truth, {video.name: video.clips for video in videos})
    scores = []
    with _progress("scoring", len(videos)) as advance:
        for video in videos:
            scores.append(causal_scores(network, video.features()))
            advance()
    figures = []
    for index, look_ahead in enumerate(LOOK_AHEADS):
        scored = [
            ScoredVideo(video.name, values[index], labels)
            for video, values, labels in zip(videos, scores, truth.labels, strict=True)
        ]
        figures.append(live_figures(scored, look_ahead, chosen, fps))
    known = {video.name: labels for video, labels in zip(videos, truth.labels, strict=True)}
    for note in [*contradictions(known), *truth.notes()]:
        _say(f"note: {note}")
    print_live(figures, f"threshold {chosen:g} ({origin}), {fps:g} frames per second, {len(videos)} videos")
    if out is not None:
        with replacing_folder(out) as folder:
            settings = _settings(head, listed, ground_truth)
            alarm = {"threshold": chosen, "threshold_from": origin, "frames_per_second": fps}
            write_json(folder / FIGURES, settings | alarm | {"look_ahead": [asdict(entry) for entry in figures]})
        _say(f"figures written to {out}")


app.command()(doctor)
app.command(name="hard-normal")(hard_normal)
app.command(name="tables")(tables)


def _doubts(path: Path, truth: Truth, videos: Sequence[Video], protocol: Protocol, trust: bool) -> list[str]:
    """Warnings about the ground truth, to be reported with the figures.

    Raises EvaluationError if it contradicts the video names, unless `trust` is set.
    """
    from mgfn.annotation import UCF_CRIME, XD_VIOLENCE, contradictions, unusual_total

    labels = {video.name: frames for video, frames in zip(videos, truth.labels, strict=True)}
    total = unusual_total(labels, UCF_CRIME if protocol is Protocol.UCF_CRIME else XD_VIOLENCE)
    found = [*contradictions(labels), *([total] if total else [])]
    if contradictions(labels) and not trust:
        raise EvaluationError(
            f"--ground-truth {path}: {'; '.join(found)}. Use another ground truth (docs/reproduce.md), or add "
            "--trust-ground-truth to use this one"
        )
    return found


def _settings(head: Path, listed: Path, ground_truth: Path) -> dict[str, str | int]:
    from configs.pinned import sha256_of

    return {
        "head": str(head),
        "head_sha256": sha256_of(head),
        "list": str(listed),
        "ground_truth": str(ground_truth),
    }


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = plain_console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _say(line: str) -> None:
    plain_console(stderr=True).print(line, soft_wrap=True)


def _exit_code(error: Exception) -> int | None:
    if isinstance(error, EvaluationError):
        return 2
    if isinstance(error, OSError):
        return 1
    from configs.mapping import MapperError
    from mgfn.checkpoint import CheckpointError
    from mgfn.features import FeatureError
    from mgfn.truth import TruthError

    return 2 if isinstance(error, (MapperError, CheckpointError, FeatureError, TruthError)) else None


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code)


if __name__ == "__main__":
    main()
