"""How long data is kept, and how much space it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

DAY: Final = 86_400.0

Days = Annotated[float, Field(gt=0, le=36_500)]


@dataclass(frozen=True)
class CameraRetention:
    """What is different for one camera, in days; None: nothing. A field with a `doc` is a key of the site file."""

    media_days: Days | None = field(
        default=None, metadata={"doc": "Days for which images and clips of this camera are kept. Default: as for all."}
    )
    score_days: Days | None = field(
        default=None, metadata={"doc": "Days for which scores of this camera are kept. Default: as for all."}
    )
    event_days: Days | None = field(
        default=None,
        metadata={
            "doc": "Days for which events of this camera, and their files, are kept at most. Default: as for all."
        },
    )


@dataclass(frozen=True)
class Retention:
    """How long data is kept, in days, and how much space it may take, in bytes.

    Images and clips are deleted, oldest first, if they are older than `media_days`, take more than `media_bytes`, or
    leave less than `free_bytes` of the disk free. `cameras`: what is different for some of them.
    """

    media_days: float = 30.0
    media_bytes: int = 10 * 2**30
    free_bytes: int = 256 * 2**20
    score_days: float = 30.0
    event_days: float = 365.0
    cameras: Mapping[str, CameraRetention] = field(default_factory=dict)
