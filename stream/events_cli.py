"""`mgfn-events`: look back at what happened."""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import platformdirs
import typer

from configs.command import run_command
from stream.errors import StreamError, UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


@app.callback()
def main_options() -> None:
    """Look back at alarms, also while mgfn-stream runs."""


def duration(text: str, flag: str) -> float:
    """Seconds of `7d`, `12h`, `90m`, `30s`, `2w`. Raises UsageError for anything else."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhdw])", text)
    if found is None:
        raise UsageError(f"{flag} {text}: allowed is a number and a unit: 30s, 90m, 12h, 7d, 2w")
    return float(found[1]) * _UNITS[found[2]]


def folder_of(data: Path | None, config: Path | None) -> Path:
    """The data folder: --data, else what the site file says, else the user's state folder. Raises UsageError."""
    if data is None and config is not None:
        from stream.site.reading import data_folder

        data = data_folder(config)
    return data or Path(platformdirs.user_state_dir("mgfn-stream"))


@app.command("list")
def list_events(
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30s, 90m, 12h, 7d, 2w.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data folder of mgfn-stream; default: the user's state folder.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Site file of mgfn-stream, whose `data` is looked at.")
    ] = None,
) -> None:
    """Alarms, lost cameras and tests, oldest first.

    Example: mgfn-events list --since 24h --json
    """
    from stream.store import Store

    began = time.time() - duration(since, "--since")
    with Store.read_only(folder_of(data, config)) as store:
        events = store.events(began)
    if as_json:
        for event in events:
            sys.stdout.write(json.dumps(event) + "\n")
    else:
        _print_table(events, since)


def _print_table(events: list[dict[str, Any]], since: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("began", "lasted", "camera", "what", "top score", "ended by", "verdict", "files", "id")
    for event in events:
        end = event["end_time"]
        what = "test" if event["test"] else event["label"]
        files = [kind for kind in ("snapshot", "clip") if event[f"{kind}_bytes"]]
        table.add_row(
            datetime.fromtimestamp(event["start_time"]).astimezone().isoformat(sep=" ", timespec="seconds"),
            "open" if end is None else f"{end - event['start_time']:.1f} s",
            event["camera"],
            what,
            f"{event['top_score']:.2f}" if event["label"] == "anomaly" else "",
            event["end_reason"] or "",
            event["verdict"] or "",
            ", ".join(files),
            event["id"],
        )
    console = Console(width=None if Console().is_terminal else 180)
    console.print(table)
    console.print(f"{len(events)} in the last {since}")


def main() -> NoReturn:
    """Entry point."""
    run_command(app, _exit_code)


def _exit_code(error: Exception) -> int | None:
    return 2 if isinstance(error, UsageError) else 1 if isinstance(error, StreamError) else None


if __name__ == "__main__":
    main()
