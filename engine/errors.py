"""Errors of the engine; each message is one line for the user.

EngineError
├── NotFiniteError           a backend returned NaN or infinity for some clips or windows
├── BundleError              a bundle that is missing, damaged, newer than this program or does not fit
└── BackendError             an engine that is not installed, a missing device, arrays of a wrong shape
    └── OutOfMemoryError     the GPU's memory is full: a smaller batch may fit
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_SHOWN: Final = 4


class EngineError(Exception):
    """Base class of the engine's errors."""


class NotFiniteError(EngineError):
    """The output of a backend contains NaN or infinity.

    `output` is "features" or "scores", and `rows` lists the affected clips or windows of the call. The rest may be
    right: call again without them.
    """

    def __init__(self, backend: str, output: str, rows: Sequence[int], total: int) -> None:
        of = "clips" if output == "features" else "windows"
        which = ", ".join(map(str, rows[:_SHOWN])) + (", ..." if len(rows) > _SHOWN else "")
        super().__init__(f"backend {backend}: {output} are NaN or infinite for {len(rows)} of {total} {of}: {which}")
        self.backend = backend
        self.output = output
        self.rows = tuple(rows)


class BundleError(EngineError):
    """The bundle cannot be used."""


class BackendError(EngineError):
    """The backend cannot be used, or was given invalid arrays."""


class OutOfMemoryError(BackendError):
    """The GPU has not enough memory for this batch."""
