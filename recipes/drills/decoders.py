"""Decoder processes that are killed, leak, and spin."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import psutil

from recipes.drills.drill import Findings, Ground, NotRunError
from recipes.drills.house import House, house
from stream.watch.decoder_process import MOST_MEMORY, SILENT_AFTER
from tests.servers.processes import until
from tests.servers.rtsp import TestCamera, encode, moving_pictures

FAULTS: Final = Path(__file__).parents[2] / "tests" / "servers" / "faults.c"


def _library(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotRunError("needs a C compiler: apt-get install gcc")
    library = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-pthread", "-o", library, FAULTS], check=True)  # noqa: S603
    return library


def broken(ground: Ground, findings: Findings) -> None:
    """Kill -9 many times, then a leak, then a main thread that spins."""
    kills = 2 if ground.short else 10
    units = encode(moving_pictures(25 * 60))
    door, other = TestCamera(ground.folder, units), TestCamera(ground.folder, units)
    arguments = ["--rtsp", f"door={door.url}", "--rtsp", f"other={other.url}"]
    env = {"LD_PRELOAD": str(_library(ground.folder))}
    with (
        door.running(), other.running(),
        house(ground.folder, ground.bundle, *arguments, env=env) as home,
    ):  # fmt: skip
        for name in ("door", "other"):
            until(lambda name=name: home.ears.scores(name), 90, f"scores of {name}")  # type: ignore[misc]
        calm = time.monotonic()
        time.sleep(8.0)
        usual = home.ears.rate("other", calm, time.monotonic())
        began = time.monotonic()
        waits = [_replaced(home, door.port, signal.SIGKILL, 60) for _ in range(kills)]
        findings.most(f"killed {kills} times: scores again after, longest", max(waits), 10.0, "s")
        leaks = _replaced(home, door.port, signal.SIGUSR1, 60)
        findings.most(f"leak of 200 MiB/s, bound {MOST_MEMORY >> 20} MiB: scores again after", leaks, 30.0, "s")
        findings.same("leak: named in the log", home.service.said("MiB of memory"), True)
        if not ground.short:
            spins = _replaced(home, door.port, signal.SIGUSR2, 90)
            findings.most("spins: scores again after", spins, SILENT_AFTER + 10.0, "s")
        during = home.ears.rate("other", began, time.monotonic())
        findings.most("change of the other camera's rate", 100 * abs(during / usual - 1), 10.0, "%")
        findings.same("processes of the service", len(home.decoders()), 2)
        findings.same("crashes", home.crashes, 0)


def _replaced(home: House, port: int, signum: int, seconds: float) -> float:
    """Signal the decoder of `door`; returns how long it took until a new one delivered."""
    door = _decoder(home, port)
    began = time.monotonic()
    door.send_signal(signum)
    until(lambda: not door.is_running() or door.status() == psutil.STATUS_ZOMBIE, seconds, "its end")
    gone = time.monotonic()
    until(lambda: home.ears.scores("door", gone + 0.5), 60, "scores of the next one")
    return home.ears.scores("door", gone + 0.5)[0] - began


def _decoder(home: House, port: int) -> psutil.Process:
    """The one that is connected to that port."""
    for process in home.decoders():
        ports = {c.raddr.port for c in process.net_connections() if c.raddr}
        if port in ports:
            return process
    raise AssertionError("no decoder is connected to door")
