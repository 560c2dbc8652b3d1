"""How long a stop may take: one deadline that its parts share, and an end by force for what outlasts it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, NoReturn

from stream.base.log import log

# The contract allows five seconds from the signal to the exit.
PARTS_WITHIN: Final = 2.8
FORCED_AFTER: Final = 3.8
ENDED_WITHIN: Final = 0.5  # for what has nothing left to do but to end
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopClock:
    """Runs from the moment at which a stop is asked for.

    Python's own handlers wait until the main thread comes out of native code, which may be a whole batch of clips on
    a busy machine; the clock hears of a signal at once. `save` is called before an end by force.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._began: float | None = None
        self._own_process = False

    def hear_signals(self, then: Callable[[], None]) -> None:
        """SIGINT and SIGTERM start the clock and call `then`. From the main thread of a process of its own."""
        self._own_process = True
        self._ears, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for signum in SIGNALS:
            signal.signal(signum, lambda *_: then())

    def start(self) -> None:
        """A stop is asked for, by whatever. Only the first counts."""
        if self._began is None:
            self._began = time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._began is not None

    def left(self, at_most: float) -> float:
        """Seconds that a part may take: `at_most`, or what its forerunners left."""
        if self._began is None:
            return at_most
        return max(0.0, min(at_most, self._began + PARTS_WITHIN - time.monotonic()))

    def run(self) -> None:
        """Body of the thread that ends the process by force, should it still be there by then; signals are heard."""
        while self._ears.recv(1)[0] not in SIGNALS:  # others' signals wake it, too
            pass
        self.start()
        time.sleep(FORCED_AFTER)
        log.error("stop took too long: ended by force")
        self._save()
        _exit()

    def leave(self) -> None:
        """All is closed: end the process, if a stop was asked for and signals are heard; else do nothing.

        The interpreter's own end, with the engine's libraries to unload, took five seconds on a busy machine.
        """
        if self._own_process and self._began is not None:
            _exit()


def _exit() -> NoReturn:
    for child in multiprocessing.active_children():  # none may outlive a forced exit
        child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
