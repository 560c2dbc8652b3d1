"""`mgfn-stream` as its users run it: a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil


class Running:
    """`mgfn-stream` in a process of its own; its log is kept."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        env: dict[str, str] | None = None,
        program: str = "stream.cli",
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.log = folder / "service.log"
        command = [*prefix, sys.executable, "-m", program, "--data", str(folder / "data"), *map(str, arguments)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, start_new_session=True, env=os.environ | (env or {}))

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def stop(self, signum: int = signal.SIGTERM, within: float = 30) -> int:
        self.process.send_signal(signum)
        return self.process.wait(within)


@contextmanager
def running(
    folder: Path,
    *arguments: object,
    env: dict[str, str] | None = None,
    program: str = "stream.cli",
    prefix: tuple[str, ...] = (),
) -> Iterator[Running]:
    """`program` is the module to run: `stream.cli`, or one that injects faults. `prefix` comes before the command; it
    must become the program, as `ip netns exec` does.
    """
    service = Running(folder, *arguments, env=env, program=program, prefix=prefix)
    try:
        yield service
    finally:
        for child in psutil.Process(service.process.pid).children() if service.process.poll() is None else []:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        service.process.kill()
        service.process.wait(10)


def lines(path: Path) -> list[dict[str, Any]]:
    """Every line that is there as a whole: a reader may come in the middle of a write, or before the first."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        text = ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
