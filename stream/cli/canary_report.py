"""`mgfn-events canary`: how the bundle named under `canary` compares with the live one."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.looking_back import SiteFile, duration, looked_at

if TYPE_CHECKING:
    from stream.lookback.canary import Compared, Comparison


def canary(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "30d",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Data folder of mgfn-stream; repeat for each worker. Default: the user's state folder."
        ),
    ] = None,
    config: SiteFile = None,
) -> None:
    """Compare the bundle under `canary` in the site file with the live one: scores, and alarms that differ.

    The comparison is stored every ten minutes, and when mgfn-stream stops. Alarms of the canary are not published.

    Example: mgfn-events canary --since 7d
    """
    from stream.lookback.canary import NOTHING, Found, compare, found_in

    def of_folder(folder: Path | None) -> Found:
        with looked_at(folder, config) as store:
            return found_in(store, began)

    began = time.time() - duration(since, "--since")
    folders: list[Path | None] = [*data] if data else [None]
    comparison = compare(reduce(add, map(of_folder, folders), NOTHING))
    if as_json:
        sys.stdout.write(json.dumps(comparison.as_json()) + "\n")
    else:
        _print(comparison)


def _print(comparison: Comparison) -> None:
    from rich.table import Table

    from stream.cli.tables import console

    out = console(180)
    says, then = comparison.verdict
    if comparison.cameras:
        out.print(f"live: {comparison.live}, canary: {comparison.canary}")
        columns = ("camera", "hours", "clips", "skipped", "correlation", "mean diff.", "largest diff.", "live alarms")
        table = Table(*columns, "canary alarms", "both", "only live", "only canary", "unknown")
        for row in (*comparison.cameras, *([comparison.total] if len(comparison.cameras) > 1 else [])):
            table.add_row(*_cells(row))
        out.print(table)
        for row in comparison.cameras:
            for alarm in row.only_live:
                verdict = "" if alarm.verdict is None else f", marked as {alarm.verdict}"
                out.print(f"only live: {_at(alarm.start)} {row.camera}, {alarm.top_score:.2f}{verdict}, {alarm.id}")
            for start, end, top in row.only_canary:
                out.print(f"only canary: {_at(start)} {row.camera}, {top:.2f}, for {end - start:.0f} s")
    out.print(says)
    out.print(f"Next: {then}")


def _cells(row: Compared) -> list[str]:
    pairs = row.pairs
    furthest = "" if pairs.furthest_at is None else f"{pairs.furthest:.3f} at {_at(pairs.furthest_at)}"
    mean = "" if pairs.mean_difference is None else f"{pairs.mean_difference:.3f}"
    correlation = "" if pairs.correlation is None else f"{pairs.correlation:.3f}"
    alarms = (row.live_alarms, row.canary_alarms, row.both, len(row.only_live), len(row.only_canary), row.unknown)
    hours, clips, skipped = f"{row.seconds / 3_600:.1f}", str(row.scored), f"{row.skipped} ({row.skipped_share:.0%})"
    return [row.camera, hours, clips, skipped, correlation, mean, furthest, *map(str, alarms)]


def _at(epoch: float) -> str:
    return datetime.fromtimestamp(epoch).astimezone().isoformat(sep=" ", timespec="seconds")
