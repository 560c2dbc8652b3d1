"""Brokers that stop, die, are absent, refuse, are slow, full or cut off, while 600 alarms come at 100 a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from recipes.drills.alarms import PROGRAM, Alarms, alarms, broker_for, site
from recipes.drills.drill import Findings, Ground
from recipes.drills.house import Ears
from recipes.drills.simulated import ALARMS
from tests.servers.mosquitto import Hoard, Mosquitto
from tests.servers.namespace import Namespace
from tests.servers.processes import free_port, until
from tests.servers.service import running
from tests.servers.slow_link import SlowLink


def lost(ground: Ground, findings: Findings) -> None:
    """The same alarms with each of the faults."""
    count = 100 if ground.short else 600
    kinds: dict[str, Callable[[Ground, Findings, int], None]] = {
        "stopped": _stopped, "killed": _killed, "absent": _absent, "refusing": _refusing, "cut off": _cut_off,
        "slow": _slow, "queue full": _queue_full, "memory full": _memory_full,
    }  # fmt: skip
    for kind in ("killed",) if ground.short else kinds:
        inner = Ground(ground.folder_for(kind.replace(" ", "-")), ground.bundle, ground.short)
        kinds[kind](inner, findings, count)


def _stopped(ground: Ground, findings: Findings, count: int) -> None:
    with (broker := broker_for(ground)).running(), alarms(ground, broker.url, count) as found:
        ears = Ears(broker.port, "mgfn/events")
        found.connected()
        assert broker.process is not None
        process = psutil.Process(broker.process.pid)

        def fault() -> None:
            process.suspend()
            found.burst()
            time.sleep(count / 100 + 6)
            process.resume()

        _twice(found, ears, findings, "stopped", fault)


def _killed(ground: Ground, findings: Findings, count: int) -> None:
    with (broker := broker_for(ground)).running(), alarms(ground, broker.url, count) as found:
        ears = Ears(broker.port, "mgfn/events")
        found.connected()

        def fault() -> None:
            found.burst()
            time.sleep(count / 300)
            broker.kill()  # in the middle of them
            time.sleep(count / 100 + 1)
            broker.start()

        _twice(found, ears, findings, "killed", fault)


def _absent(ground: Ground, findings: Findings, count: int) -> None:
    broker = broker_for(ground)
    with alarms(ground, broker.url, count) as found:
        found.online()
        found.burst()
        time.sleep(count / 100 + 2)
        with broker.running():
            ears = Ears(broker.port, "mgfn/events")
            found.judge(ears, findings, "absent at the start")
            ears.close()


def _refusing(ground: Ground, findings: Findings, count: int) -> None:
    """It takes no password until it is told to."""
    (ground.folder / "mosquitto").mkdir()
    refusing = Mosquitto(ground.folder / "mosquitto", password="hunter22")  # noqa: S106
    with alarms(ground, refusing.url, count) as found:
        with refusing.running():
            until(lambda: found.service.said("broker"), 60, "the refusal")
            found.online()
            found.burst()
            time.sleep(count / 100 + 2)
        config = ground.folder / "mosquitto" / "mosquitto.conf"
        config.write_text(config.read_text().replace("allow_anonymous false", "allow_anonymous true"))
        with refusing.running():
            ears = Ears(refusing.port, "mgfn/events")
            found.judge(ears, findings, "refusing")
            ears.close()


def _cut_off(ground: Ground, findings: Findings, count: int) -> None:
    """The service is in a network namespace of its own, and its cable is pulled out for longer than its keep-alive."""
    with Namespace().running() as namespace:
        port = free_port()
        broker = broker_for(ground, f"listener {port} {namespace.host}")
        with broker.running(), alarms(ground, f"mqtt://{namespace.host}:{port}", count, namespace.prefix) as found:
            ears = Ears(broker.port, "mgfn/events")
            found.connected()

            def fault() -> None:
                lost = found.service.log.read_text().count("broker connection lost")
                found.burst()
                time.sleep(count / 300)
                namespace.plug(connected=False)
                until(lambda: found.service.log.read_text().count("broker connection lost") > lost, 90, "the loss")
                namespace.plug(connected=True)

            _twice(found, ears, findings, "cut off", fault)


def _slow(ground: Ground, findings: Findings, count: int) -> None:
    with (
        (broker := broker_for(ground)).running(),
        SlowLink(broker.port, None).running() as link,
        alarms(ground, link.url, count) as found,
    ):
        ears = Ears(broker.port, "mgfn/events")
        found.connected()
        link.rate = 40_000.0  # bytes a second
        _twice(found, ears, findings, "slow (40 kB/s)", found.burst, 240)


def _queue_full(ground: Ground, findings: Findings, count: int) -> None:
    """The broker queues no more than 200 messages for a client that is away; it sends the others at once."""
    (ground.folder / "mosquitto").mkdir()
    broker = Mosquitto(ground.folder / "mosquitto", extra=("max_queued_messages 200", "max_inflight_messages 0"))
    with broker.running(), alarms(ground, broker.url, count) as found:
        away = Ears(broker.port)
        away.close()  # its session stays
        ears = Ears(broker.port, "mgfn/events")
        found.connected()
        _twice(found, ears, findings, "queue of another client full", found.burst)


def _memory_full(ground: Ground, findings: Findings, count: int) -> None:
    """The broker has no memory left for a message, until a client that is away gives up its session."""
    (ground.folder / "mosquitto").mkdir()
    broker = Mosquitto(ground.folder / "mosquitto", extra=("max_queued_messages 0", "memory_limit 12000000"))
    with broker.running(), alarms(ground, broker.url, count) as found:
        ears = Ears(broker.port, "mgfn/events")
        found.connected()

        def fault() -> None:
            hoard = Hoard(broker.port)
            hoard.fill()
            before = _ids(ears)
            found.burst()
            time.sleep(count / 100 + 5)
            findings.most("full: alarms received meanwhile", _ids(ears) - before, count // 10)
            hoard.empty()

        _twice(found, ears, findings, "full", fault)


def _ids(ears: Ears) -> int:
    return len({event["id"] for event in ears.events()})


def _twice(
    found: Alarms, ears: Ears, findings: Findings, what: str, fault: Callable[[], None], seconds: float = 120.0
) -> None:
    """Both times every alarm must come. The first time, allocators fill their pools; what the second time adds to the
    memory is growth.
    """
    fault()
    found.judge(ears, findings, what, seconds)
    before = found.settled(ears)
    fault()
    found.judge(ears, findings, f"{what}, again", seconds)
    after = found.settled(ears)
    findings.most(f"{what}, again: memory growth", after.memory - before.memory, 10.0, "MiB")
    ears.close()


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
