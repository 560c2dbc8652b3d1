"""Files that are written completely or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PARTIAL: Final = ".part"


def partial_path(path: Path) -> Path:
    """The path where a file is written before it is renamed."""
    return path.with_name(path.stem + PARTIAL + path.suffix)
