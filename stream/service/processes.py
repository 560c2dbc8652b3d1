"""Starts child processes. Whoever needs a process is given `start_process`."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from stream.base.processes import without_thread_pools

_OF_THE_GROUP: Final = {signal.SIGINT, signal.SIGHUP}
_spawn = multiprocessing.get_context("spawn")


def start_process(target: Callable[..., None], args: Sequence[Any], name: str) -> tuple[SpawnProcess, Connection]:
    """A process that runs `target(*args, pipe)`, and the other end of its pipe. It ends with this process.

    Raises OSError if there are not enough resources.
    """
    without_thread_pools()
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=target, args=(*args, theirs), name=name, daemon=True)
    # these reach the whole process group, even while the child is still importing; the service decides
    signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_GROUP)
    try:
        process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_GROUP)
        theirs.close()
    return process, ours
