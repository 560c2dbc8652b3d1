"""How long a stop may take: one deadline shared by all parts, and an end by force for what exceeds it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from stream.base.log import FLUSHED_WITHIN, log, standard_error

# The process must exit within five seconds of the signal.
PARTS_WITHIN: Final = 2.8
FORCED_AFTER: Final = 3.8
ENDED_WITHIN: Final = 0.5  # for parts that have nothing left to do except to end
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopClock:
    """Starts when a stop is requested.

    Python's own signal handlers wait until the main thread returns from native code, which may take a whole batch of
    clips on a busy machine. This clock receives signals at once. `save` is called before an end by force.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._began: float | None = None
        self._own_process = False

    def hear_signals(self, then: Callable[[], None]) -> None:
        """Let SIGINT and SIGTERM start the clock and call `then`. Call from the main thread."""
        self._own_process = True
        self._ears, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for signum in SIGNALS:
            signal.signal(signum, lambda *_: then())

    def start(self) -> None:
        """A stop was requested. Only the first call counts."""
        if self._began is None:
            self._began = time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether a stop was requested."""
        return self._began is not None

    def left(self, at_most: float) -> float:
        """Seconds that a part may take: `at_most`, or what is left."""
        if self._began is None:
            return at_most
        return max(0.0, min(at_most, self._began + PARTS_WITHIN - time.monotonic()))

    def run(self) -> None:
        """Body of the thread that receives signals, and ends the process by force if it is still there after the
        deadline.
        """
        while self._ears.recv(1)[0] not in SIGNALS:  # signals of others wake it, too
            pass
        self.start()
        time.sleep(FORCED_AFTER)
        log.error("shutdown took too long: the process is terminated")
        self._save()
        _exit()

    def leave(self) -> None:
        """Everything is closed: end the process, if a stop was requested and signals are handled here.

        Finalising the interpreter and unloading the engine's libraries took five seconds on a busy machine.
        """
        if self._own_process and self._began is not None:
            _exit()


def _exit() -> NoReturn:
    for child in multiprocessing.active_children():  # no child may survive a forced exit
        child.kill()
    standard_error.flush(FLUSHED_WITHIN)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
