"""The memory of our processes: a bound on what FFmpeg takes at once, and when what was freed goes back."""

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
    """Let this process, a decoder, return packets and images to the system once they are freed. glibc would keep more
    and more of them, each time the camera comes back, in the gaps of its heap.
    """
    _set({_MMAP_THRESHOLD: 32 * 2**10, _TRIM_THRESHOLD: 64 * 2**10, _MOST_ARENAS: 1})


def share_heaps() -> None:
    """Let the threads of this process, the service, share two heaps. glibc would give nearly each its own, which keeps
    what a backlog of events once took, 45 MB in all.
    """
    _set({_TRIM_THRESHOLD: 128 * 2**10, _MOST_ARENAS: 2})


def _set(options: dict[int, int]) -> None:
    with suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options.items():
            mallopt(option, value)
