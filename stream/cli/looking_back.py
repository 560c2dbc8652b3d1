"""What the commands of `mgfn-events` share: options, periods, the data folder."""

from __future__ import annotations

import getpass
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import platformdirs
import typer

from stream.base.errors import StreamError, UsageError

if TYPE_CHECKING:
    from stream.archive.store import Store

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}

DataFolder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder of mgfn-stream; default: the user's state folder."),
]
SiteFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Site file of mgfn-stream; its `data` folder is used."),
]
Camera = Annotated[str | None, typer.Option("--camera", metavar="NAME", help="Only this camera.")]


def login_name() -> str:
    """The user who runs the command, for the audit log; the number of one who has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def duration(text: str, flag: str) -> float:
    """Seconds for `7d`, `12h`, `90m`, `30s`, `2w`. Raises UsageError for anything else."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhdw])", text)
    if found is None:
        raise UsageError(f"{flag} {text}: must be a number with a unit, such as 30s, 90m, 12h, 7d or 2w")
    return float(found[1]) * _UNITS[found[2]]


def moment(text: str, flag: str) -> float:
    """Epoch time for `2026-11-29`, `2026-11-29T06:30` (local time) or with an offset. Raises UsageError."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{flag} {text}: must be a time such as 2026-11-29 or 2026-11-29T06:30+01:00") from None


def folder_of(data: Path | None, config: Path | None) -> Path:
    """The data folder: from --data, the site file, or the user's state folder. Raises UsageError."""
    if data is None and config is not None:
        from stream.settings.site.reading import data_folder

        data = data_folder(config)
    return data or Path(platformdirs.user_state_dir("mgfn-stream"))


@contextmanager
def looked_at(data: Path | None, config: Path | None, *, writes: bool = False) -> Iterator[Store]:
    """The store in the data folder. Raises UsageError if there is none, StreamError if it cannot be read."""
    from stream.archive.store import Store

    folder = folder_of(data, config)
    try:
        with (Store.beside if writes else Store.read_only)(folder) as store:
            yield store
    except sqlite3.Error as error:
        raise StreamError(
            f"--data {folder}: the database cannot be {'written' if writes else 'read'}: {error}"
        ) from None
