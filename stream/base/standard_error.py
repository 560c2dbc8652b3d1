"""Writes the log's lines to standard error. In a service, a thread does it, so that nobody waits.

A terminal that was stopped with Ctrl-S, a pipe that nobody reads and a disk that hangs block whoever writes to them.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Final

_LINES: Final = 1_000


class StandardError:
    """Lines that cannot be written (full disk, closed pipe) are lost. At most 1,000 wait for the thread; those that
    find no room are lost, and counted.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._lines: queue.Queue[bytes | threading.Event] | None = None

    def msg(self, line: str) -> None:
        """Write a line."""
        if self._lines is None:
            with suppress(OSError, ValueError):
                print(line, file=sys.stderr, flush=True)  # noqa: T201 -- this is the log
            return
        try:
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace") + b"\n")
        except queue.Full:
            self.lost += 1

    log = debug = info = warning = error = critical = exception = msg

    def use_thread(self) -> None:
        """From now on, let a thread write."""
        if self._lines is None:
            self._lines = queue.Queue(_LINES)
            threading.Thread(target=self._run, args=(self._lines,), name="log", daemon=True).start()

    def flush(self, within: float) -> None:
        """Wait up to `within` seconds until everything is written."""
        written = threading.Event()
        if self._lines is not None:
            with suppress(queue.Full):
                self._lines.put_nowait(written)
                written.wait(within)

    def _run(self, lines: queue.Queue[bytes | threading.Event]) -> None:
        while True:
            if isinstance(item := lines.get(), threading.Event):
                item.set()
                continue
            # not through `sys.stderr`: the interpreter cannot end while a thread is blocked in there
            with suppress(OSError):
                while item:
                    item = item[os.write(2, item) :]
