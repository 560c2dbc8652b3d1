"""Brokers that stop, die, are absent, refuse, are slow, or are cut off, while 600 alarms are raised at 100 a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil

from recipes.drills.drill import Findings, Ground
from recipes.drills.house import Ears, Usage
from recipes.drills.simulated import ALARMS
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port, until
from tests.servers.service import Running, lines, running
from tests.servers.slow_link import SlowLink

PROGRAM = "recipes.drills.simulated"


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
    """A service of 20 simulated cameras, and what a subscriber hears of their alarms."""

    def __init__(self, folder: Path, service: Running, count: int) -> None:
        self.service, self.count = service, count
        self._plan = folder / "plan"
        self._bursts = self._wanted = 0

    def burst(self, count: int | None = None) -> None:
        """Let so many alarms be raised."""
        self._bursts += 1
        self._wanted += count or self.count
        self._plan.write_text(f"{count or self.count} 100 {self._bursts}")

    @property
    def decided(self) -> int:
        """Alarms that the program has raised, by its log."""
        return self.service.log.read_text().count('"alarm new"')

    def raised(self) -> float:
        """Wait until no more alarms are raised; returns how many a second there were. Some may be lost to overload."""
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
        return len(times) / max(1.0, (times[-1] - times[0]).total_seconds())

    def judge(self, ears: Ears, findings: Findings, what: str, seconds: float = 120.0) -> None:
        """Wait until the beginnings and ends of all alarms have come; count duplicates, and check the order."""
        raised = self.raised()
        expected = self.decided
        findings.note(f"{what}: alarms raised", f"{expected} of {self._wanted}, {raised:.0f} a second")
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
        findings.same(f"{what}: alarms received", len({e["id"] for e in events if e["type"] == "new"}), expected)
        findings.most(f"{what}: duplicates", 100 * (len(events) - len(unique)) / len(events), 1.0, "%")
        findings.same(f"{what}: cameras or events out of order", disordered, 0)
        findings.note(f"{what}: all received after", f"{time.monotonic() - began:.1f} s")


@contextmanager
def alarms(ground: Ground, url: str, count: int) -> Iterator[Alarms]:
    folder = ground.folder
    given = ["--config", site(folder, ground.bundle, url, 20)]
    with running(folder, *given, env={ALARMS: str(folder / "plan")}, program=PROGRAM) as service:
        yield Alarms(folder, service, count)


def lost(ground: Ground, findings: Findings) -> None:
    """Stopped, killed, absent at the start, refusing, and cut off."""
    count = 100 if ground.short else 600
    kinds: dict[str, Callable[[Ground, Findings, int], None]] = {
        "stopped": _stopped, "killed": _killed, "absent": _absent, "refusing": _refusing, "cut off": _cut_off,
        "slow": _slow,
    }  # fmt: skip
    for kind in ("killed",) if ground.short else kinds:
        inner = Ground(ground.folder_for(kind.replace(" ", "-")), ground.bundle, ground.short)
        kinds[kind](inner, findings, count)


def broker_for(ground: Ground, **more: object) -> Mosquitto:
    (ground.folder / "mosquitto").mkdir()
    return Mosquitto(ground.folder / "mosquitto", durable=True, extra=("max_queued_messages 0",), **more)  # type: ignore[arg-type]


def _warmed_up(found: Alarms) -> Usage:
    """What the service uses after its first alarms."""
    found.burst(200)
    found.raised()
    return Usage.settled(found.service.process.pid)


def _connected(found: Alarms) -> None:
    until(lambda: found.service.said("broker connected"), 60, "the broker")
    until(lambda: found.service.log.read_text().count("camera online") >= 20, 60, "the cameras")


def _stopped(ground: Ground, findings: Findings, count: int) -> None:
    with (broker := broker_for(ground)).running(), alarms(ground, broker.url, count) as found:
        ears = Ears(broker.port)
        _connected(found)
        assert broker.process is not None
        process = psutil.Process(broker.process.pid)
        before = _warmed_up(found)
        process.suspend()
        found.burst()
        time.sleep(count / 100 + 6)
        process.resume()
        found.judge(ears, findings, "stopped")
        _memory(found, before, findings, "stopped")
        ears.close()


def _killed(ground: Ground, findings: Findings, count: int) -> None:
    with (broker := broker_for(ground)).running(), alarms(ground, broker.url, count) as found:
        ears = Ears(broker.port)
        _connected(found)
        before = _warmed_up(found)
        found.burst()
        time.sleep(count / 300)
        broker.kill()  # in the middle of them
        time.sleep(count / 100 + 1)
        broker.start()
        found.judge(ears, findings, "killed")
        _memory(found, before, findings, "killed")
        ears.close()


def _absent(ground: Ground, findings: Findings, count: int) -> None:
    broker = broker_for(ground)
    with alarms(ground, broker.url, count) as found:
        until(lambda: found.service.log.read_text().count("camera online") >= 20, 60, "the cameras")
        found.burst()
        time.sleep(count / 100 + 2)
        with broker.running():
            ears = Ears(broker.port)
            found.judge(ears, findings, "absent at the start")
            ears.close()


def _refusing(ground: Ground, findings: Findings, count: int) -> None:
    """It takes no password until it is told to."""
    (ground.folder / "mosquitto").mkdir()
    refusing = Mosquitto(ground.folder / "mosquitto", password="hunter22")  # noqa: S106
    with alarms(ground, refusing.url, count) as found:
        with refusing.running():
            until(lambda: found.service.said("broker"), 60, "the refusal")
            until(lambda: found.service.log.read_text().count("camera online") >= 20, 60, "the cameras")
            found.burst()
            time.sleep(count / 100 + 2)
        config = ground.folder / "mosquitto" / "mosquitto.conf"
        config.write_text(config.read_text().replace("allow_anonymous false", "allow_anonymous true"))
        with refusing.running():
            ears = Ears(refusing.port)
            found.judge(ears, findings, "refusing")
            ears.close()


@contextmanager
def _behind_a_link(ground: Ground, count: int) -> Iterator[tuple[SlowLink, Alarms, Ears]]:
    """A service connected to its broker through a link whose rate can be set; the subscriber is not behind it."""
    with (
        (broker := broker_for(ground)).running(),
        SlowLink(broker.port, None).running() as link,
        alarms(ground, link.url, count) as found,
    ):
        ears = Ears(broker.port)
        _connected(found)
        yield link, found, ears
        ears.close()


def _cut_off(ground: Ground, findings: Findings, count: int) -> None:
    """Packets vanish in both directions: a proxy that stops carrying, and then breaks."""
    with _behind_a_link(ground, count) as (link, found, ears):
        link.rate = 1.0  # a byte a second: nothing arrives
        found.burst()
        time.sleep(count / 100 + 5)
        link.cut()
        link.rate = None
        found.judge(ears, findings, "cut off")


def _slow(ground: Ground, findings: Findings, count: int) -> None:
    with _behind_a_link(ground, count) as (link, found, ears):
        link.rate = 40_000.0  # bytes a second
        found.burst()
        found.judge(ears, findings, "slow (40 kB/s)", 240)


def _memory(found: Alarms, before: Usage, findings: Findings, what: str) -> None:
    """What 600 alarms left behind in memory."""
    after = Usage.settled(found.service.process.pid)
    findings.most(f"{what}: memory growth", after.memory - before.memory, 10.0, "MiB")


def last_will(ground: Ground, findings: Findings) -> None:
    """Killed with -9, started again, stopped in an orderly way."""
    broker, keep_alive = broker_for(ground), 0.0
    with broker.running():
        ears = Ears(broker.port)
        port = free_port()
        config = site(ground.folder, ground.bundle, broker.url, 2, port)
        env = {ALARMS: str(ground.folder / "plan")}
        with running(ground.folder, "--config", config, env=env, program=PROGRAM) as service:
            ears.wait("mgfn/available", "online")
            killed = time.monotonic()
            service.process.kill()
            ears.wait("mgfn/available", "offline", killed)
            keep_alive = ears.times("mgfn/available", "offline", killed)[0] - killed
        started = time.monotonic()
        with running(ground.folder, "--config", config, env=env, program=PROGRAM) as service:
            back = ears.wait("mgfn/available", "online", started) - started
            time.sleep(1.0)
            stopped = time.monotonic()
            code = service.stop()
            ears.wait("mgfn/available", "offline", stopped)
        ears.close()
    findings.most("offline after kill -9", keep_alive, 1.5 * 30, "s")
    findings.most("online after the restart", back, 10.0, "s")
    findings.same("exit code of a clean stop, which says offline", code, 0)
