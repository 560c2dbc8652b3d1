"""Child processes of commands, always ended by their own id; among them a small RTSP server."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

# The server uses one thread of a pool for each client, and on a machine with two cores the pool is small.
CLIENTS_OF_A_SERVER: Final = 5
_SERVE: Final = """
import asyncio, sys
from aio_rtsp_toolkit.server import serve
asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


class ChildError(Exception):
    """A child process failed; the message is one line."""


@contextmanager
def child(command: Sequence[str], seconds: float = 4.0, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child process. It is asked to end when the block ends, and killed if it takes longer than `seconds`.

    A SIGINT or SIGTERM that arrives while it is being started or ended is handled afterwards. `options` are those of
    subprocess.Popen. Raises OSError if it cannot be started.
    """
    with ExitStack() as stack:
        with _signals_wait():
            process: subprocess.Popen[str] = subprocess.Popen(command, text=True, **options)  # noqa: S603 -- our own command
            stack.callback(_end, process, seconds)
        yield process


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Delay SIGINT and SIGTERM until after the block. Does nothing in other threads, where Python handles no
    signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # an ignored signal stays ignored: children inherit that
    heard = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    with ExitStack() as stack:
        for number, handler in heard.items():  # restore each handler, even if the other signal arrives meanwhile
            stack.callback(signal.signal, number, handler)
        for number in heard:
            signal.signal(number, lambda signum, _frame: came.append(signum))
        yield
    for signum in came:
        signal.raise_signal(signum)


def _end(process: subprocess.Popen[str], seconds: float) -> None:
    with _signals_wait():  # a second signal must not leave it running
        process.terminate()  # no effect if it has ended
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], what: str, seconds: float = 20.0) -> None:
    """Poll until `condition` is true. Raises ChildError if `process` ends before, or after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if (code := process.poll()) is not None:
            raise ChildError(f"{what} did not start: it ended with exit code {code}")
        if time.monotonic() > deadline:
            raise ChildError(f"{what} did not start within {seconds:g} s")
        time.sleep(0.05)


@contextmanager
def rtsp_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The recordings of a folder at `rtsp://127.0.0.1:PORT/` (returned, with the process).

    `NAME.mp4?play_count=0` loops; at most CLIENTS_OF_A_SERVER can read at a time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _SERVE, str(folder), "127.0.0.1", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with child(command, **quiet, start_new_session=True) as process:
        wait_for(lambda: _listening(port), process, "the RTSP server")
        yield f"rtsp://127.0.0.1:{port}/", process


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def logged(log: Path, event: str) -> dict[str, Any]:
    """The first log line of that event; empty while there is none."""
    for line in log.read_text().splitlines():
        if line.startswith("{") and line.endswith("}") and (said := json.loads(line))["event"] == event:
            return dict(said)
    return {}
