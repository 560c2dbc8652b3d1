"""The number of files that this process may have open at once, which bounds the number of its cameras."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from typing import Final

from stream.base.errors import UsageError

PER_CAMERA: Final = 4  # the pipe of its decoder, the memory of its clips (twice), the end of its process
_BESIDE: Final = 200  # the database, media, the broker, browsers
_ENOUGH: Final = 65_536


def allow_open_files(cameras: int) -> None:
    """Raise the limit of this process as far as the system allows. Raises UsageError if the cameras need more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed, most = _finite(soft), min(_finite(hard), _ENOUGH)
    if most > allowed:
        with suppress(ValueError, OSError):  # macOS has another limit behind this one
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            allowed = most
    needed = PER_CAMERA * cameras + _BESIDE
    if needed > allowed:
        raise UsageError(
            f"{cameras} cameras need {needed:,} open files, and this process may have {allowed:,}: enough for"
            f" {max(0, allowed - _BESIDE) // PER_CAMERA} cameras; raise the limit (`ulimit -n`, or `LimitNOFILE=` of"
            " systemd)"
        )


def _finite(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
