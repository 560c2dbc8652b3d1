"""OpenVINO's `Core`, one for the whole process."""

from __future__ import annotations

from functools import cache
from typing import Any

import openvino


@cache
def core() -> Any:
    """The only `openvino.Core` of this process.

    Each `Core` replaces the signal stack of the thread that first compiles with it, and restores the previous one when
    it is deleted. If two are not deleted in reverse order, the thread is left with a stack that has been freed, and the
    next signal ends the process with a segmentation fault.
    """
    return openvino.Core()
