"""The command line of `mgfn-eval tables`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.command import Cluster
from configs.console import plain_console
from mgfn.evaluation.videos import EvaluationError

if TYPE_CHECKING:  # torch takes seconds to import
    from collections.abc import Callable

    from mgfn.evaluation.rows import TableProtocol
    from mgfn.training.config import TrainConfig
    from mgfn.training.dataset import LabelledVideo
    from mgfn.training.loop import Data
    from mgfn.truth import BoolArray

    Split = Callable[[int], tuple[list[LabelledVideo], list[LabelledVideo], dict[str, BoolArray]]]


def tables(
    features: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the feature files.")],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="ucf-crime, xd-violence or own.")],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Training videos, as of mgfn-train; own: CSV with file,source,start,end in seconds."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of runs and tables; the same again continues it.")],
    test_labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Test videos; not with own.")] = None,
    ground_truth: Annotated[Path | None, typer.Option(metavar="FILE", help="Their frame labels; not with own.")] = None,
    rows: Annotated[str | None, typer.Option(metavar="NAMES", help="Rows, separated by commas; default: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Seeds of each row.")] = 5,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Steps of every row.")] = None,
    videos: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="Videos of each class in a batch of every row.")
    ] = None,
    parts: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="Parts that every row divides a video into.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Runs at the same time; default: 1.")
    ] = None,
    fps: Annotated[float, typer.Option(min=1, max=240, metavar="F", help="Frame rate of own data.")] = 25.0,
    cluster: Cluster = None,
) -> None:
    """Train every method of the paper's tables; print published and measured figures side by side.

    Writes tables.md and tables.html after each run. If interrupted, the same command continues after the finished runs.

    Example: mgfn-eval tables --protocol own --features features/ --labels mine.csv --out tables --steps 300
    """
    from configs.mapping import Lost, Processes, cluster_mapper
    from mgfn.evaluation.all_rows import RUNS, Result, Run, chosen, kept, open_runs, perform, plan, write_tables
    from mgfn.evaluation.rows import Budget, TableProtocol
    from mgfn.training.config import ProblemsError

    console = plain_console(stderr=True)
    try:
        kind = TableProtocol(protocol)
    except ValueError:
        allowed = ", ".join(TableProtocol)
        raise EvaluationError(f"--protocol {protocol}: must be one of {allowed}") from None
    try:
        wanted = chosen(rows)
    except ValueError as error:
        raise EvaluationError(f"--rows {error}") from None
    if not features.is_dir():
        raise EvaluationError(f"--features {features}: no such folder")
    if cluster is not None and processes is not None:
        raise EvaluationError("--processes: not with --cluster, where each core trains a run")
    opened = cluster_mapper(cluster) if cluster is not None else nullcontext(Processes(processes or 1))
    budget = Budget(steps, videos, parts)
    try:
        split = _split(kind, features, labels, test_labels, ground_truth, fps)
        runs = plan(wanted, kind, seeds, budget, out, _data_of(split, out / "segments"))
    except ProblemsError as found:
        raise EvaluationError("; ".join(found.problems)) from None
    results = {(run.row, run.seed): result for run in runs if (result := kept(run)) is not None}
    left = [run for run in runs if (run.row, run.seed) not in results]
    console.print(f"{len(runs)} runs, {len(results)} of them finished earlier", soft_wrap=True)
    notes = [
        f"{seeds} seed{'s' * (seeds > 1)}, {budget.said()}; last step, no selection"
        + "; ± is the standard deviation over seeds" * (seeds > 1),
        "published: frozen features of the original papers; ours: the features in --features",
    ]
    if kind is TableProtocol.OWN:
        notes.append("own data, source-disjoint folds: seed n tests fold n; compare our figures with each other only")

    def write() -> None:
        lacking = open_runs(runs, results)
        write_tables(out, kind, wanted, results, [*notes, f"not trained yet: {lacking}"] if lacking else notes)

    def report(run: Run, result: Result) -> None:
        results[run.row, run.seed] = result
        figures = f"AUC {result.auc:.4f}, AP {result.ap:.4f}, {result.seconds:.0f} s"
        done = len(left) - (len(runs) - len(results))
        console.print(f"{run.row}, seed {run.seed}: {figures} ({done} of {len(left)})", soft_wrap=True)
        write()

    write()
    (out / RUNS).mkdir(exist_ok=True)
    lost = False
    with opened as mapper:
        for run, ended in mapper.map(perform, left):
            if isinstance(ended, Lost):
                console.print(f"{run.row}, seed {run.seed}: failed: {ended.why}", soft_wrap=True)
                lost = True
            else:
                report(run, ended)
    plain_console().print((out / "tables.md").read_text(), soft_wrap=True)
    if lost:
        raise typer.Exit(1)


def _split(
    kind: TableProtocol, features: Path, labels: Path, test: Path | None, truth: Path | None, fps: float
) -> Split:
    """The training and test videos of a seed, with the anomalous frames of the latter. Raises ProblemsError."""
    from mgfn.evaluation.own_data import read_own
    from mgfn.evaluation.rows import TableProtocol
    from mgfn.training.config import DataSettings, ProblemsError
    from mgfn.training.splits import listed_videos
    from mgfn.training.validation import read_frames

    if kind is TableProtocol.OWN:
        if test is not None or truth is not None:
            raise ProblemsError(["--test-labels, --ground-truth: not with --protocol own"])
        own = read_own(labels, features, fps)
        return lambda seed: (*own.split(seed), own.truth)
    if truth is None or test is None:
        raise ProblemsError([f"--protocol {kind.value} needs --test-labels and --ground-truth"])
    settings = {"layout": kind.value, "features": features, "labels": labels, "test_labels": test}
    videos = listed_videos(DataSettings.model_validate(settings))
    sides = [[video for video in videos if (video.split == "test") is held] for held in (False, True)]
    known = {video.name for video in sides[0]}
    if both := [video.name for video in sides[1] if video.name in known]:
        raise ProblemsError([f"{', '.join(both[:4])}: listed for training and for test"])
    frames = read_frames(truth, sides[1])
    return lambda _: (sides[0], sides[1], frames)


def _data_of(split: Split, folder: Path) -> Callable[[TrainConfig], Data]:
    """The data of a configuration; averaged features are shared between rows with the same number of parts."""
    from mgfn.training.loop import Data
    from mgfn.training.segments import Segments, prepare

    prepared: dict[tuple[int, int], Data] = {}

    def data_of(config: TrainConfig) -> Data:
        key = (config.data.parts, config.seed)
        if key not in prepared:
            train, test, truth = split(config.seed)
            segments = Segments(folder, config.data.parts)
            _, channels = prepare([*train, *test], segments, None, lambda *_: None)
            prepared[key] = Data(train, test, {video.name: truth[video.name] for video in test}, segments, channels)
        return prepared[key]

    return data_of
