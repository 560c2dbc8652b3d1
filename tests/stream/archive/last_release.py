"""A data folder as release 0.1.0 left it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stream.archive.database import DATABASE

BEGAN = 1_764_000_000.0  # its first score
BUNDLE = "ab" * 32  # what scored


def write_last_release(folder: Path) -> Path:
    """Write it to `folder`, which exists."""
    database = sqlite3.connect(folder / DATABASE)
    database.executescript(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    database.execute("PRAGMA user_version = 1")
    database.close()
    return folder
