"""The service with simulated cameras that raise alarms at 100 a second, and how what was received of them is judged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from recipes.drills.drill import Findings, Ground
from recipes.drills.house import Ears, Usage
from recipes.drills.simulated import ALARMS
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import until
from tests.servers.service import Running, lines, running

PROGRAM = "recipes.drills.simulated"
CAMERAS = 20
RATE = 95.0  # a second: what is left of 100 where the last ones are late


def site(folder: Path, bundle: Path, broker: str, cameras: int, port: int | None = None) -> Path:
    """A site file of simulated cameras whose every high clip is an alarm."""
    http = "off" if port is None else f"127.0.0.1:{port}"
    lines = [
        f"mqtt: {{url: {broker}}}",
        f"bundle: {bundle}",
        f"http: {{address: '{http}'}}",
        "defaults: {alarm: {threshold_on: 0.5, threshold_off: 0.4, min_duration: 0, cool_down: 0, merge_gap: 0,"
        " hourly_cap: 3600}}",
        "cameras:",
        *(f"  cam{n}: {{url: 'rtsp://127.0.0.1:9/cam{n}'}}" for n in range(cameras)),
    ]
    path = folder / "site.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


class Alarms:
    """A service of simulated cameras, and what a subscriber hears of their alarms."""

    def __init__(self, folder: Path, service: Running, count: int) -> None:
        self.service, self.count = service, count
        self._plan = folder / "plan"
        self._bursts = self._before = 0

    def burst(self) -> None:
        """Let the alarms be raised, 100 a second."""
        self._bursts += 1
        self._before = self.decided
        self._plan.write_text(f"{self.count} 100 {self._bursts}")

    def connected(self) -> None:
        """Wait for the broker and the cameras."""
        until(lambda: self.service.said("broker connected"), 60, "the broker")
        self.online()

    def online(self) -> None:
        """Wait for the cameras."""
        until(lambda: self.service.log.read_text().count("camera online") >= CAMERAS, 60, "the cameras")

    def settled(self, ears: Ears) -> Usage:
        """What the service uses once every message has left."""
        decided = self.decided
        until(lambda: len({e["id"] for e in ears.events() if e["type"] == "media"}) >= decided, 240, "all messages")
        return Usage.settled(self.service.process.pid)

    @property
    def decided(self) -> int:
        """Alarms that the program has raised, by its log."""
        return self.service.log.read_text().count('"alarm new"')

    def raised(self) -> float:
        """Wait until no more alarms are raised; returns how many of the last burst there were in a second."""
        times: list[datetime] = []
        until_when = time.monotonic() + 120
        while time.monotonic() < until_when:
            before = len(times)
            times = [
                datetime.fromisoformat(line["timestamp"])
                for line in lines(self.service.log)
                if line["event"] == "alarm new"
            ]
            if times and len(times) == before:
                break
            time.sleep(3.0)
        burst = times[self._before :]
        return len(burst) / max(1.0, (burst[-1] - burst[0]).total_seconds())

    def judge(self, ears: Ears, findings: Findings, what: str, seconds: float = 120.0) -> None:
        """Wait until the beginnings and ends of the alarms of all bursts have come; count duplicates, and check the
        order.
        """
        rate = self.raised()
        expected = self.count * self._bursts
        findings.same(f"{what}: alarms raised", self.decided - self._before, self.count)
        findings.least(f"{what}: alarms a second", rate, RATE)
        began = time.monotonic()

        def all_here() -> bool:
            said = ears.events()
            return all(len({e["id"] for e in said if e["type"] == kind}) >= expected for kind in ("new", "end"))

        until(all_here, seconds, f"{expected} alarms of which {len({e['id'] for e in ears.events()})} came")
        events = ears.events()
        unique = {(e["id"], e["seq"]) for e in events}
        disordered = 0
        for camera in {e["camera"] for e in events}:
            first = list(dict.fromkeys((e["start_time"], e["id"]) for e in events if e["camera"] == camera))
            disordered += first != sorted(first)
            for event in {e["id"] for e in events if e["camera"] == camera}:
                seqs = list(dict.fromkeys(e["seq"] for e in events if e["id"] == event))
                disordered += seqs != sorted(seqs)
        received = len({e["id"] for e in events if e["type"] == "new"})
        findings.same(f"{what}: alarms received", received - self.count * (self._bursts - 1), self.count)
        findings.most(f"{what}: duplicates", 100 * (len(events) - len(unique)) / len(events), 1.0, "%")
        findings.same(f"{what}: cameras or events out of order", disordered, 0)
        findings.note(f"{what}: all received after", f"{time.monotonic() - began:.1f} s")


@contextmanager
def alarms(ground: Ground, url: str, count: int, prefix: tuple[str, ...] = ()) -> Iterator[Alarms]:
    """A service of simulated cameras; `prefix` comes before its command."""
    folder = ground.folder
    given = ["--config", site(folder, ground.bundle, url, CAMERAS)]
    env = {ALARMS: str(folder / "plan")}
    with running(folder, *given, env=env, program=PROGRAM, prefix=prefix) as service:
        yield Alarms(folder, service, count)


def broker_for(ground: Ground, *more: str) -> Mosquitto:
    """A broker that loses nothing; `more` lines of its configuration."""
    (ground.folder / "mosquitto").mkdir()
    return Mosquitto(ground.folder / "mosquitto", durable=True, extra=("max_queued_messages 0", *more))
