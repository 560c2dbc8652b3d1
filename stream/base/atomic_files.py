"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PARTIAL: Final = ".part"


def partial_path(path: Path) -> Path:
    """Where a file is written before it is renamed into place."""
    return path.with_name(path.stem + PARTIAL + path.suffix)
