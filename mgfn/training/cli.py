"""`mgfn-train`: trains MGFN or a baseline on features of videos that are labelled as a whole."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from configs.command import Terminated, run_command
from configs.console import plain_console

if TYPE_CHECKING:  # torch takes seconds to import, and --help should be instant
    import torch

    from mgfn.training.config import TrainConfig
    from mgfn.training.loop import Data, Precision, Reached

_FEW = 10  # videos
_SAID_EVERY = 30.0  # seconds, if no progress bar is visible

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
console = plain_console(stderr=True)


@app.command()
def train(
    config: Annotated[str, typer.Option(metavar="FILE|PRESET", help="YAML file, or the name of a preset.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the run: new or empty, or with --resume an interrupted run.")
    ],
    features: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the .npy files; default: the folder of the list.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV with columns file,label[,split][,class][,frames], or a .list of the authors."
        ),
    ] = None,
    test_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Test videos, unless the CSV marks them with split test.")
    ] = None,
    ground_truth: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Frame labels of the test videos: .json by name, or .npy in list order."),
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="How best.safetensors is selected: last, val or test-best.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; overrides the configuration.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps; overrides the configuration.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: cuda if available.")] = None,
    precision: Annotated[
        str, typer.Option(help="float32, or bf16 for the network (weights stay float32).")
    ] = "float32",
    segments: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for averaged features, to share them between runs.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the interrupted run in --out.")] = False,
) -> None:
    """Train MGFN or a baseline. Writes best.safetensors, last.safetensors, metrics.json and a TensorBoard log.

    Example: mgfn-train --config paper-ucf-crime --features ucf/ --labels ucf-i3d.list --out runs/ucf
    """
    from mgfn.training.config import ProblemsError, load_config

    given = {
        "data.features": features,
        "data.labels": labels,
        "data.test_labels": test_labels,
        "data.ground_truth": ground_truth,
        "select": select,
        "seed": seed,
        "steps": steps,
    }
    try:
        settings = load_config(config, {key: value for key, value in given.items() if value is not None})
        chosen_device, chosen_precision = _hardware(device, precision)
        _check_out(out, resume)
        data = _data(settings, segments or out / "segments")
        _fit(settings, data, out, chosen_device, chosen_precision, resume)
    except ProblemsError as found:
        for problem in found.problems:
            print(f"mgfn-train: {' '.join(problem.split())}", file=sys.stderr)  # noqa: T201 -- one line each
        raise typer.Exit(2) from None


def _hardware(device: str | None, precision: str) -> tuple[torch.device, Precision]:
    import torch

    from mgfn.training.config import ProblemsError

    if device not in (None, "cpu", "cuda"):
        raise ProblemsError([f"--device {device}; must be cpu or cuda"])
    if device == "cuda" and not torch.cuda.is_available():
        raise ProblemsError(["--device cuda: PyTorch finds no CUDA device here; use cpu"])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if precision == "float32":
        return chosen, "float32"
    if precision == "bf16":
        return chosen, "bf16"
    raise ProblemsError([f"--precision {precision}; must be float32 or bf16"])


def _check_out(out: Path, resume: bool) -> None:
    from mgfn.training.config import ProblemsError

    if resume and not out.is_dir():
        raise ProblemsError([f"--resume: --out {out} does not contain a run"])
    # averaged features alone, left by an error or Ctrl-C, are not a run yet
    taken = out.is_dir() and any(path.name != "segments" for path in out.iterdir())
    if out.is_file() or (taken and not resume):
        raise ProblemsError(
            [f"--out {out}: is not empty; must be a new or empty folder, unless --resume continues its run"]
        )


def _data(settings: TrainConfig, folder: Path) -> Data:
    """Lists, splits, checked features and ground truth.

    Raises ProblemsError with all problems of the lists, or else with all problems of the files.
    """
    from mgfn.annotation import contradictions
    from mgfn.training.config import ProblemsError
    from mgfn.training.loop import Data
    from mgfn.training.segments import Segments, prepare
    from mgfn.training.splits import listed_videos, split_videos
    from mgfn.training.validation import read_frames

    videos = listed_videos(settings.data)
    train, held_out = split_videos(settings, videos)
    truth_file = settings.data.ground_truth
    if truth_file is not None and not any(video.split == "test" for video in held_out):
        raise ProblemsError([f"--ground-truth {truth_file}: there are no test videos to use it for"])
    segments = Segments(folder, settings.data.parts)
    with _bar() as bar:
        task = bar.add_task("reading features", text="")
        crops, channels = prepare(
            [*train, *held_out],
            segments,
            settings.data.crops,
            lambda done, files: bar.update(task, completed=done, total=files),
        )
    abnormal, files = sum(video.abnormal for video in train), sum(len(video.files) for video in train)
    items = "" if files == len(train) else f", in {files} files that each count as an item"
    console.print(
        f"{len(train)} training videos ({abnormal} abnormal{items}), {len(held_out)} evaluation videos; "
        f"{crops} crops of {channels} channels",
        soft_wrap=True,
    )
    if settings.select == "val" and any(video.split == "test" for video in videos):
        tests = sum(video.split == "test" for video in videos)
        console.print(f"--select val: {tests} videos of the split test are not used", soft_wrap=True)
    if 0 < len(held_out) < _FEW:
        console.print(f"only {len(held_out)} evaluation videos: the figures are unreliable", soft_wrap=True)
    truth = None if truth_file is None else read_frames(truth_file, held_out)
    listed = {video.name: video.abnormal for video in held_out}
    for doubt in contradictions(truth or {}, listed.get):
        console.print(f"--ground-truth {truth_file}: {doubt}", soft_wrap=True)
    return Data(train, held_out, truth, segments, channels)


def _fit(
    settings: TrainConfig, data: Data, out: Path, device: torch.device, precision: Precision, resume: bool
) -> None:
    from mgfn.training.loop import fit

    rule = settings.select if settings.select == "last" else f"{settings.select}, {settings.metric}"
    console.print(
        f"training {settings.network.kind} on {device} in {precision}; best.safetensors: {rule}", soft_wrap=True
    )
    out.mkdir(parents=True, exist_ok=True)
    kept, said = 0, time.monotonic()
    try:
        with _bar() as bar:
            task = bar.add_task("training", total=settings.steps, text="")

            def report(reached: Reached) -> None:
                nonlocal kept, said
                if not reached.losses:
                    kept = reached.step
                    where = f"continuing after step {kept}" if kept else f"nothing saved in {out}; starting at step 1"
                    console.print(f"--resume: {where}", soft_wrap=True)
                    return
                if reached.step % settings.validate_every == 0:
                    kept = reached.step
                text = " ".join(f"{name} {value:.3g}" for name, value in reached.losses.items())
                if reached.metrics is not None:
                    text += f" | AUC {reached.metrics.auc:.4f} AP {reached.metrics.ap:.4f}"
                bar.update(task, completed=reached.step, text=text)
                due = kept == reached.step or time.monotonic() - said > _SAID_EVERY
                if due and not console.is_terminal:
                    said = time.monotonic()
                    console.print(f"step {reached.step} of {settings.steps}: {text}", soft_wrap=True)

            metrics = fit(settings, data, out, device, precision, resume, report)
    except (KeyboardInterrupt, Terminated):
        begin = f"continues after step {kept}" if kept else "starts again: the first validation was not reached"
        console.print(f"interrupted; the same command with --resume {begin}", soft_wrap=True)
        raise
    measured = "" if metrics is None else f": {metrics.by}-level AUC {metrics.auc:.4f}, AP {metrics.ap:.4f}"
    console.print(f"{out / 'best.safetensors'} ({rule}){measured}", soft_wrap=True)


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, TextColumn("{task.fields[text]}", markup=False), console=console, transient=True)


def _exit_code(error: Exception) -> int | None:
    return 1 if isinstance(error, (OSError, FloatingPointError)) else None


def main() -> NoReturn:
    """Entry point."""
    missing = [name for name in ("torch", "safetensors", "sklearn", "tensorboard", "yaml") if find_spec(name) is None]
    if missing:
        print(f"mgfn-train: {', '.join(missing)} not installed: pip install 'mgfn-stream[train]'", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    run_command(app, _exit_code)


if __name__ == "__main__":
    main()
