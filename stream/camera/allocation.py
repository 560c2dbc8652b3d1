"""A bound on the memory that FFmpeg takes at once, whatever a camera says of the size of its answer or its image."""

from __future__ import annotations

import ctypes
import functools
from contextlib import suppress
from pathlib import Path
from typing import Final

LARGEST_BLOCK: Final = 128 * 2**20  # the largest plane of an 8K image with 10 bits has 67 MB


@functools.cache
def bound_blocks() -> bool:
    """Let FFmpeg refuse larger blocks in this process from now on. False where its library cannot be found.

    PyAV and OpenCV each bring their own FFmpeg.
    """
    bound = False
    with suppress(OSError):
        mapped = {line.partition("/")[2] for line in Path("/proc/self/maps").read_text().splitlines()}
        for path in mapped:
            if Path(path).name.startswith("libavutil"):
                with suppress(OSError, AttributeError):
                    ctypes.CDLL(f"/{path}").av_max_alloc(ctypes.c_size_t(LARGEST_BLOCK))
                    bound = True
    return bound
