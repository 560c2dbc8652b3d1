"""The table of the drills, on the terminal and in docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from configs.atomic import write_file
from recipes.drills.drill import Drill
from recipes.drills.results import Result

_COLOURS: Final = {"passed": "green", "failed": "red", "not run": "yellow"}
_INTRODUCTION: Final = """# Reliability

`make drills` damages the running service on purpose, with real servers, and measures what happens. This page is written
by it. A row passes if every figure is within its bound. `make drills DRILL=name` runs one row; `DRILLS=short` runs the
short form, whose most valuable rows are part of `make test`. The models are tiny ones, except where a row says
otherwise: the drills test the service, not the detection.
"""


def print_table(drills: Sequence[Drill], results: dict[str, Result]) -> None:
    table = Table("drill", "measured", "bound", "result", show_lines=True)
    for drill in drills:
        result = results.get(drill.name)
        if result is None:
            table.add_row(f"[b]{drill.name}[/b]\n{drill.row}", "", "", "[yellow]not run[/yellow]")
            continue
        measured = "\n".join(
            f"[{'red' if not figure.passed else 'default'}]{figure.name}: {figure.value}[/]"
            for figure in result.figures
        )
        bounds = "\n".join(figure.bound for figure in result.figures)
        state = f"[{_COLOURS[result.state]}]{result.state}[/] {result.why}\n{result.seconds:.0f} s, {result.form}"
        table.add_row(f"[b]{drill.name}[/b]\n{drill.row}", measured, bounds, state)
    Console().print(table)


def write_page(path: Path, drills: Sequence[Drill], results: dict[str, Result]) -> None:
    """Write docs/reliability.md."""
    lines = [_INTRODUCTION]
    machines = sorted({result.machine for result in results.values()})
    lines += [f"Machine: {machine}.\n" for machine in machines]
    lines += ["| drill | what is done | result | date | commit |", "|---|---|---|---|---|"]
    for drill in drills:
        result = results.get(drill.name)
        if result is None:
            lines.append(f"| `{drill.name}` | {drill.row} | not run | | |")
            continue
        why = f": {result.why}" if result.why else ""
        form = f"{result.form} form, {result.seconds:.0f} s"
        lines.append(
            f"| `{drill.name}` | {drill.row} | **{result.state}**{why} ({form}) | {result.date} | {result.commit} |"
        )
    for drill in drills:
        result = results.get(drill.name)
        if result is None or not result.figures:
            continue
        lines += [f"\n## {drill.name}\n", f"{drill.row}.\n", "| figure | measured | bound | |", "|---|---|---|---|"]
        lines += [
            f"| {figure.name} | {figure.value} | {figure.bound} | {'' if figure.passed else 'failed'} |"
            for figure in result.figures
        ]
    write_file(path, ("\n".join(lines) + "\n").encode())
