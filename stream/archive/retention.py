"""How long data is kept, and how much space it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400.0


@dataclass(frozen=True)
class Retention:
    """How long data is kept, in days, and how much space it may take, in bytes.

    Images and clips are deleted, oldest first, if they are older than `media_days`, take more than `media_bytes`, or
    leave less than `free_bytes` of the disk free.
    """

    media_days: float = 30.0
    media_bytes: int = 10 * 2**30
    free_bytes: int = 256 * 2**20
    score_days: float = 30.0
    event_days: float = 365.0
