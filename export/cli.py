"""`mgfn-export`: builds a model bundle."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from configs.command import run_command
from configs.console import plain_console
from engine.default_bundle import default_head

if TYPE_CHECKING:  # its module imports torch
    from export.verify import Comparison

_NEEDED = ("torch", "onnx", "onnxscript", "safetensors")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def export(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the bundle: new, empty, or an existing bundle to replace.")
    ],
    backbone: Annotated[str, typer.Option(metavar="NAME", help="i3d, i3d-r50, videoswin-t or videoswin-b.")] = "i3d",
    backbone_weights: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Weights of the backbone; default for i3d: downloaded.")
    ] = None,
    head: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Checkpoint of the head; default: the default head.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write float32 ONNX graphs; this is always done.")] = True,
    int8: Annotated[bool, typer.Option("--int8", help="Add an INT8 form for CPUs (OpenVINO).")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Add half-precision ONNX graphs, for GPUs.")] = False,
    trt: Annotated[
        bool, typer.Option("--trt", help="Add TensorRT plans for the GPU of this machine; implies --fp16.")
    ] = False,
    calibration: Annotated[
        list[Path] | None,
        typer.Option(metavar="VIDEO_OR_DIR ...", help="Footage to calibrate INT8 on; default: sample footage."),
    ] = None,
    more_calibration: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    verify: Annotated[
        bool, typer.Option(help="Compare every artefact with PyTorch; write no bundle if one differs too much.")
    ] = True,
) -> None:
    """Build a model bundle: backbone and head as ONNX, with a manifest and the SHA-256 of every file.

    Example: mgfn-export --out bundles/mine --head runs/mine/best.safetensors --int8 --calibration videos/
    """
    del onnx
    if missing := [package for package in _NEEDED if find_spec(package) is None]:
        print(f"mgfn-export: needs {', '.join(missing)}; run: pip install 'mgfn-stream[export]'", file=sys.stderr)  # noqa: T201 -- the only line
        raise typer.Exit(2)
    # imported here because torch loads slowly, and --help should be instant
    from export.build import VerificationError, Wanted, build
    from export.bundle import ExportError, check_target, load_sources
    from mgfn.backbones import BACKBONES

    if backbone not in BACKBONES:
        raise ExportError(f"--backbone {backbone}: unknown; allowed: {', '.join(BACKBONES)}")
    if more_calibration and not calibration:
        raise ExportError(f"{more_calibration[0]}: unexpected argument; footage must follow --calibration")
    if calibration and not int8:
        raise ExportError("--calibration: requires --int8")
    check_target(out)
    if trt:
        from export.trt import check_possible

        check_possible()
    if int8:
        from export.calibration import find_videos, read_footage
        from export.int8 import check_installed

        check_installed()
        videos = find_videos([*(calibration or ()), *(more_calibration or ())])
    console = plain_console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        step = progress.add_task(f"loading {backbone}")

        def say(text: str) -> None:
            progress.update(step, description=text)
            if not console.is_terminal:
                console.print(text, soft_wrap=True)

        sources = load_sources(backbone, backbone_weights, head or default_head())
        if sources.head is None:
            given = "the default head" if head is None else f"--head {head}"
            said = f"{given} does not match the {sources.channels} channels of {backbone}"
            said += ": the bundle will contain only the backbone"
            console.print(said, soft_wrap=True)
        footage = None
        if int8:
            progress.update(step, description="reading calibration footage")  # an error is then the only line
            footage = read_footage(videos, sources.geometry)
        wanted = Wanted(footage, fp16, trt, verify)
        try:
            rows, notes = build(sources, head or default_head(), wanted, out, say)
        except VerificationError as error:
            console.print(_table(error.rows))
            raise
    if rows:
        console.print(_table(rows))
    for note in notes:
        console.print(note, soft_wrap=True)
    holds = "" if sources.head is not None else " (backbone only, without a head)"
    console.print(f"bundle written to {out}{holds}", soft_wrap=True)


def _table(rows: list[Comparison]) -> Table:
    int8 = " (INT8: on held-out footage)" if any(row.form == "int8" for row in rows) else ""
    table = Table(title=f"compared with PyTorch, on generated moving patterns{int8}")
    for column in ("engine", "lowest cosine", "relative error", "score change", "kind change", "alarms changed"):
        table.add_column(column, justify="left" if column == "engine" else "right", no_wrap=column == "engine")
    for row in rows:
        changes = ("" if each is None else f"{each:.1e}" for each in (row.score_change, row.kind_change))
        flips = "" if row.flips is None else str(row.flips)
        name = row.backend if row.passed else f"{row.backend} (failed)"
        table.add_row(name, f"{row.cosine:.6f}", f"{row.relative_error:.1e}", *changes, flips)
    return table


def _exit_code(error: Exception) -> int | None:
    from configs.pinned import FetchError
    from engine.errors import EngineError
    from export.build import VerificationError
    from export.bundle import ExportError
    from mgfn.checkpoint import CheckpointError
    from mgfn.weights import WeightsError

    if isinstance(error, VerificationError):
        return 1
    if isinstance(error, (ExportError, CheckpointError, WeightsError)):
        return 2
    return 1 if isinstance(error, (EngineError, FetchError, OSError)) else None


def main(program: str = "mgfn-export") -> NoReturn:
    """Entry point; `program` is the name of the command that started this one as a child."""
    warnings.filterwarnings("ignore")
    run_command(app, _exit_code, program=program)


if __name__ == "__main__":
    main()
