"""Child processes: how the service starts them, and how they end when it ends."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

# Starts `target(*args, pipe)` under a name; returns the process and the other end of its pipe.
StartProcess = Callable[[Callable[..., None], Sequence[Any], str], tuple[SpawnProcess, Connection]]


def without_thread_pools() -> None:
    """Let child processes start without the threads of numpy's linear algebra. They use none of it, and a process can
    be confined only while it has a single thread.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def yield_to_others() -> None:
    """Lower the priority of the calling thread; only Linux has one for each thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(10, os.getpriority(os.PRIO_PROCESS, thread)))


def own_memory(pid: int) -> int:
    """Bytes of memory that a process shares with no other; 0 where the system does not tell."""
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * resource.getpagesize()


def end_with_parent() -> None:
    """In a child that does not read its pipe: end it as soon as its parent has gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), name="end-with-parent", daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
