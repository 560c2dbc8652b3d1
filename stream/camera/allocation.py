"""The memory of decoder processes: a bound on what FFmpeg takes at once, and when it is given back."""

from __future__ import annotations

import ctypes
import functools
from contextlib import suppress
from pathlib import Path
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST_ARENAS = -1, -3, -8  # of mallopt
LARGEST_BLOCK: Final = 128 * 2**20  # the largest plane of an 8K image with 10 bits has 67 MB


@functools.cache
def bound_blocks() -> bool:
    """Let FFmpeg refuse larger blocks in this process from now on, whatever a camera says of the size of its answer or
    its image. False where its library cannot be found.

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


def give_back_memory() -> None:
    """Let this process return packets and images to the system once they are freed. glibc would keep more and more of
    them, each time the camera comes back, in the gaps of its heap.
    """
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_THRESHOLD, 32 * 2**10), (_TRIM_THRESHOLD, 64 * 2**10), (_MOST_ARENAS, 1)):
            mallopt(option, value)
