"""Signals while the default bundle is built: in the service's own first seconds, and in the child that exports."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import platformdirs
import psutil

from recipes.drills.drill import Findings, Ground
from tests.servers.processes import until
from tests.servers.service import Running, running

_MOMENTS = (
    ("SIGTERM", signal.SIGTERM, 1, 0.0),
    ("SIGINT", signal.SIGINT, 1, 8.0),
    ("SIGTERM twice", signal.SIGTERM, 2, 20.0),
)


def signals_during_a_build(ground: Ground, findings: Findings) -> None:
    """The cache is empty but for the weights, which are not downloaded again."""
    cache = ground.folder_for("cache")
    ours = cache / "mgfn-stream"
    ours.mkdir()
    for kind in ("weights", "samples"):
        (ours / kind).symlink_to(Path(platformdirs.user_cache_dir("mgfn-stream")) / kind)
    arguments = ("--rtsp", "door=rtsp://127.0.0.1:9/cam", "--http", "off")
    for name, signum, times, after in _MOMENTS[:1] if ground.short else _MOMENTS:
        with running(ground.folder, *arguments, env={"XDG_CACHE_HOME": str(cache)}) as service:
            until(lambda: _building(service), 60, "the build")
            time.sleep(after)
            children = psutil.Process(service.process.pid).children(recursive=True)
            began = time.monotonic()
            for _ in range(times):
                os.kill(service.process.pid, signum)
                time.sleep(0.05)
            code = service.process.wait(60)
            findings.most(f"{name}, {after:g} s into a build: exits after", time.monotonic() - began, 5.0, "s")
            findings.same(f"{name}, {after:g} s into a build: exit code", code, 0)
            until(lambda: not any(child.is_running() for child in children), 5, "no orphan")  # noqa: B023
    left = [path.name for path in ours.glob("bundles/*")]
    findings.same("bundles left by builds that were stopped", left, [])


def _building(service: Running) -> bool:
    return service.said("building the default bundle") and bool(psutil.Process(service.process.pid).children())
