"""`mgfn-export`: build a model bundle."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from configs.command import run_command
from engine.default_bundle import default_head

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The bundle's folder: new, empty or a bundle to replace.")],
    backbone: Annotated[str, typer.Option(metavar="NAME", help="i3d, i3d-r50 or videoswin-t.")] = "i3d",
    backbone_weights: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Weights; absent: fetched and checked (i3d).")
    ] = None,
    head: Annotated[
        Path | None, typer.Option(metavar="PATH", help="An MGFN checkpoint; absent: the default head.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Float32 ONNX graphs: always written.")] = True,
    verify: Annotated[bool, typer.Option(help="Run every artefact beside PyTorch; past the limit: no bundle.")] = True,
) -> None:
    """Build a model bundle: backbone and head as ONNX, with a manifest and the SHA-256 of every file.

    Example: mgfn-export --out bundles/mine --head runs/mine/best.safetensors
    """
    del onnx
    # torch takes seconds to import: --help and a wrong flag do not wait for it
    from export.bundle import ExportError, check_target, load_sources, staged, write_artefacts, write_manifest
    from export.verify import FEATURE_LIMIT, SCORE_LIMIT
    from export.verify import verify as compare
    from mgfn.backbones import BACKBONES

    if backbone not in BACKBONES:
        raise ExportError(f"--backbone {backbone}: unknown; allowed: {', '.join(BACKBONES)}")
    check_target(out)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        step = progress.add_task(f"loading {backbone}")
        sources = load_sources(backbone, backbone_weights, head or default_head())
        with staged(out) as folder:
            progress.update(step, description="exporting to ONNX")
            write_artefacts(sources, folder)
            write_manifest(sources, folder, head or default_head())
            rows = []
            if verify:
                progress.update(step, description="verifying beside PyTorch")
                rows = compare(sources, folder)
            failed = [row.backend for row in rows if not row.passed]
            if failed:
                console.print(_table(rows))
                raise ExportError(
                    f"verification failed on {', '.join(failed)}: allowed are features within {FEATURE_LIMIT:g} "
                    f"and scores within {SCORE_LIMIT:g} of PyTorch; no bundle was written"
                )
    if rows:
        console.print(_table(rows))
    if sources.head is None:
        console.print(
            f"the head does not fit {backbone}'s {sources.channels} channels: the bundle holds the backbone alone"
        )
    console.print(f"bundle written to {out}")


def _table(rows: list) -> Table:  # type: ignore[type-arg] # Comparison: its module imports torch
    table = Table(title="beside PyTorch, on seeded moving patterns")
    for column in ("backend", "cosine (lowest)", "relative error", "score change", "alarms flipped"):
        table.add_column(column, justify="left" if column == "backend" else "right")
    for row in rows:
        change = "" if row.score_change is None else f"{row.score_change:.1e}"
        flips = "" if row.flips is None else str(row.flips)
        table.add_row(row.backend, f"{row.cosine:.6f}", f"{row.relative_error:.1e}", change, flips)
    return table


def _exit_code(error: Exception) -> int | None:
    from engine.errors import EngineError
    from export.bundle import ExportError
    from mgfn.checkpoint import CheckpointError
    from mgfn.weights import WeightsError

    if isinstance(error, ExportError) and "verification failed" in str(error):
        return 1
    if isinstance(error, (ExportError, CheckpointError, WeightsError)):
        return 2
    return 1 if isinstance(error, (EngineError, OSError)) else None


def main() -> NoReturn:
    """Entry point."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("NNCF_CI", "1")
    run_command(app, _exit_code, program="mgfn-export")  # also as the child of another command


if __name__ == "__main__":
    main()
