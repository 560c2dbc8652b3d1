"""Files that are written completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PARTIAL: Final = ".part"


def partial_path(path: Path) -> Path:
    """The path where a file is written before it is renamed."""
    return path.with_name(path.stem + PARTIAL + path.suffix)


def put_in_place(partial: Path, path: Path, now: float) -> None:
    """Give a finished file its name; its time becomes steady time `now`, which its age counts from. Raises OSError."""
    os.utime(partial, (now, now))
    partial.rename(path)
