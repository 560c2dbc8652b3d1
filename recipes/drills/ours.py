"""This program itself: killed with -9 again and again, and stopped by signals at awkward moments."""

from __future__ import annotations

import os
import signal
import time

import psutil

from recipes.drills.alarms import PROGRAM, broker_for, site
from recipes.drills.builds import signals_during_a_build
from recipes.drills.drill import Findings, Ground
from recipes.drills.house import Ears
from recipes.drills.simulated import ALARMS
from stream.archive.store import Store
from tests.servers.processes import until
from tests.servers.service import Running, lines, running

CAMERAS = 10


def killed(ground: Ground, findings: Findings) -> None:
    """Killed 20 times while alarms are raised and the broker is down; then the broker comes."""
    kills = 3 if ground.short else 20
    broker = broker_for(ground)
    config, plan = site(ground.folder, ground.bundle, broker.url, CAMERAS), ground.folder / "plan"
    stored: set[tuple[str, int]] = set()
    warming = 0
    for number in range(kills):
        plan.write_text("")
        with running(ground.folder, "--config", config, env={ALARMS: str(plan)}, program=PROGRAM) as service:
            _online(service)
            plan.write_text(f"20 40 {number}")
            until(lambda: _raised(service) >= 5, 30, "alarms")
            time.sleep(0.1 * (number % 5))
            service.process.kill()
            service.process.wait(10)
            stored |= _stored(ground)
    plan.write_text("")
    with broker.running():
        ears = Ears(broker.port)
        with running(ground.folder, "--config", config, env={ALARMS: str(plan)}, program=PROGRAM) as service:
            warming = len(ears.times("mgfn/cam0/status", "warming")) or int(
                bool(ears.wait("mgfn/cam0/status", "warming"))
            )
            until(lambda: not _waiting(ground), 120, "an empty outbox")
            code = service.stop()
        until(lambda: stored <= {(e["id"], e["seq"]) for e in ears.events()}, 30, "every stored message")
        events = ears.events()
        ears.close()
    begun, ended = ({e["id"] for e in events if e["type"] == kind} for kind in ("new", "end"))
    findings.same("kills", kills, kills)
    findings.note("messages in the database at the kills", len(stored))
    findings.same("of them not received", len(stored - {(e["id"], e["seq"]) for e in events}), 0)
    findings.same("alarms that never end", len(begun - ended), 0)
    findings.note("messages received twice (same id and seq)", len(events) - len({(e["id"], e["seq"]) for e in events}))
    findings.same("a window that is not full is said (warming)", warming > 0, True)
    findings.same("exit code of the last stop", code, 0)


def _online(service: Running) -> None:
    until(lambda: service.log.read_text().count("camera online") >= CAMERAS, 60, "the cameras")


def _raised(service: Running) -> int:
    return sum(line["event"] == "alarm new" for line in lines(service.log))


def _stored(ground: Ground) -> set[tuple[str, int]]:
    with Store.read_only(ground.folder / "data") as store:
        return {(message.payload.id, message.payload.seq) for message in store.events.waiting()}


def _waiting(ground: Ground) -> int:
    with Store.read_only(ground.folder / "data") as store:
        return len(store.events.waiting())


def signals(ground: Ground, findings: Findings) -> None:
    """SIGTERM, SIGINT, both twice; during the start; with the broker away and messages waiting."""
    broker = broker_for(ground)
    config, plan = site(ground.folder, ground.bundle, broker.url, CAMERAS), ground.folder / "plan"
    moments = {
        "SIGTERM": (signal.SIGTERM, 1, True), "SIGINT": (signal.SIGINT, 1, True),
        "SIGTERM twice": (signal.SIGTERM, 2, True),
        "SIGINT twice": (signal.SIGINT, 2, True), "SIGTERM during the start": (signal.SIGTERM, 1, False),
        "SIGINT during the start": (signal.SIGINT, 1, False),
    }  # fmt: skip
    for number, (name, (signum, times, started)) in enumerate(moments.items()):
        plan.write_text("")
        program = PROGRAM if started else "stream.cli"
        with running(ground.folder, "--config", config, env={ALARMS: str(plan)}, program=program) as service:
            if started:
                _online(service)
                plan.write_text(f"20 40 {number}")
                until(lambda: _raised(service) >= 5, 30, "alarms")
            else:
                until(lambda: service.log.exists() and _alive(service), 30, "the process")
                time.sleep(0.8)  # while it imports its parts
            group = [p.pid for p in psutil.Process(service.process.pid).children(recursive=True)]
            began = time.monotonic()
            for _ in range(times):
                os.kill(service.process.pid, signum)
                time.sleep(0.05)
            code = service.process.wait(30)
            findings.most(f"{name}: exits after", time.monotonic() - began, 5.0, "s")
            if not started and code == -signum:  # it came before the program's first line
                code = 0
            findings.same(f"{name}: exit code", code, 0)
            until(lambda: not any(psutil.pid_exists(pid) for pid in group), 5, "no orphan")  # noqa: B023
    findings.least("messages kept for the broker, which was away", _waiting(ground), 4 * 5)
    signals_during_a_build(Ground(ground.folder_for("build"), ground.bundle, ground.short), findings)


def _alive(service: Running) -> bool:
    return service.process.poll() is None
