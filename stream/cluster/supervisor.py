"""The actor of one worker: starts the worker's process on its machine, and starts it again when it has died."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ray

from stream.base.errors import StreamError
from stream.cluster.worker_process import WorkerProcess

_LOOK_EVERY: Final = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_STOPPED_WITHIN: Final = 4.5


@dataclass(frozen=True)
class Health:
    """Of a worker. `pid` None: its process does not run, and `said` is the last line of its log."""

    host: str
    pid: int | None
    said: str = ""


class Supervisor:
    """A Ray actor, made by `stream.cluster.on_ray`."""

    def __init__(self, name: str, folder: str) -> None:
        self._worker = WorkerProcess(name, Path(folder))
        self._flags: Sequence[str] = ()
        self._tended: threading.Thread | None = None
        self._stopped = threading.Event()

    def node(self) -> str:
        """The id of the Ray node that it runs on."""
        return str(ray.get_runtime_context().get_node_id())

    def digest(self, path: str) -> str:
        """The hash of a file as this machine reads it. Raises StreamError if it cannot."""
        try:
            return hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise StreamError(f"{socket.gethostname()} cannot read it: {error.strerror}") from None

    def start(self, flags: Sequence[str], labels: Sequence[str]) -> Health:
        """Start the worker, or adopt the one that an earlier actor of this name has started."""
        self._flags = [*flags, *(flag for label in labels for flag in ("--label", label))]
        self._worker.start(self._flags)
        if self._tended is None:
            self._tended = threading.Thread(target=self._tend, daemon=True)
            self._tended.start()
        return self.health()

    def health(self) -> Health:
        pid = self._worker.pid
        said = "" if pid is not None else self._worker.last_words()
        return Health(socket.gethostname(), pid, said)

    def stop(self) -> bool:
        """End the worker. Returns whether it ended by itself."""
        self._stopped.set()
        return self._worker.stop(_STOPPED_WITHIN)

    def _tend(self) -> None:
        pause, began = _FIRST_PAUSE, time.monotonic()
        while not self._stopped.wait(_LOOK_EVERY):
            if self._worker.pid is not None:
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                continue
            if self._stopped.wait(pause):
                return
            pause = min(_LONGEST_PAUSE, 2 * pause)
            began = time.monotonic()
            try:
                self._worker.start(self._flags)
            except StreamError:  # no processes left, say: tried again
                continue
