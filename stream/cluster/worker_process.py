"""The process of a worker: `mgfn-stream` itself, started so that it outlives whoever starts it.

Ray ends what its actors have started when it loses its head. A worker must go on alarming then, so its process belongs
to nobody, and the next actor of its name finds it again by its file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from stream.base.errors import StreamError

# Ray's processes have a niceness of 15, with which a busy machine would not score in time.
_ORPHANED: Final = """
import contextlib, os, subprocess, sys
with contextlib.suppress(OSError):
    os.setpriority(os.PRIO_PROCESS, 0, 0)
with open(sys.argv[1], "ab") as log:
    print(subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True).pid)
"""
_STARTED_WITHIN: Final = 20.0
_LAST_BYTES: Final = 4_096  # of a log, in which its last line is


class WorkerProcess:
    """The worker `name`, whose data, log and process id are in `folder`/`name`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs, whoever has started it."""
        try:
            pid = int(json.loads(self._file.read_text())["pid"])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if self.name.encode() in command else None  # the number may be another process's by now

    def start(self, flags: Sequence[str]) -> int:
        """Start it, unless it runs. Raises StreamError if that is impossible."""
        if (running := self.pid) is not None:
            return running
        self._file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "stream.cli", *flags, "--worker", self.name, "--data", str(self.data)]
        try:
            started = subprocess.run(  # noqa: S603 -- our own command
                [sys.executable, "-c", _ORPHANED, str(self.log), *command],
                capture_output=True, text=True, check=True, timeout=_STARTED_WITHIN, env=_environment(),
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise StreamError(f"worker {self.name} cannot be started: {type(error).__name__}") from None
        pid = int(started.stdout)
        self._file.write_text(json.dumps({"pid": pid}))
        return pid

    def stop(self, within: float) -> bool:
        """Ask it to end, and end it by force after so many seconds. Returns whether it ended by itself."""
        until = time.monotonic() + within
        if (pid := self.pid) is None:
            return True
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        while self.pid is not None:
            if time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                return False
            time.sleep(0.05)
        return True

    def last_words(self) -> str:
        """The last line of its log."""
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            return log.read().decode(errors="replace").strip().rpartition("\n")[2]
        return ""


def _environment() -> dict[str, str]:
    """Ours, without what Ray sets for its own processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "OMP_NUM_THREADS"))}
