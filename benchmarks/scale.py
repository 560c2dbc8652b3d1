"""Cameras on many machines: how many move when machines come and go, and what the broker has to carry.

    python -m benchmarks.scale [--broker SECONDS]

The placement is the product's own (`stream.cluster.placement`). `--broker` also measures a real Mosquitto, with clients
that beat as workers do. docs/scale.md explains the figures.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from stream.cluster.keeper import DEAD
from stream.cluster.placement import NO_LABELS, Worker, place
from stream.cluster.renewal import BEAT_EVERY
from stream.watch.custody import KEPT_EVERY

CAMERAS: Final = (100, 1_000, 10_000)
ROOM: Final = {"2 cores": 12, "16 cores": 96, "GPU, one process": 300}  # cameras a worker, docs/scale.md
SPARE: Final = (0.0, 0.1, 0.25)  # room beyond the cameras, as a share of them
FAILURES_A_YEAR: Final = 4.0  # of a machine: crashes, updates, cables; a guess, and said to be one
REPAIRED_IN: Final = 4.0 * 3600
CLIPS_A_SECOND: Final = 1.5625
CHECKPOINT: Final = 175_000  # bytes, of the default bundle
DAYS: Final = 365.0
DAY: Final = 86_400.0


def fleet(cameras: int, room: int, spare: float) -> list[Worker]:
    """As few workers as hold the cameras with that spare room."""
    count = max(2, math.ceil(cameras * (1 + spare) / room))
    return [Worker(f"worker{index:04d}", float(room)) for index in range(count)]


@dataclass(frozen=True)
class Churn:
    """Cameras that moved, in fair shares of the worker that came or went; the processor time of one placement."""

    workers: int
    lost: float
    joined: float
    slower: float
    seconds: float


def churn(cameras: int, room: int, spare: float, seed: int = 0) -> Churn:
    """What one worker less, one more, and one that measured 10 % less capacity move."""
    names = {f"camera{seed}-{index}": NO_LABELS for index in range(cameras)}
    workers = fleet(cameras, room, spare)
    began = time.process_time()
    before = place(names, workers)
    seconds = time.process_time() - began

    def moved(changed: Sequence[Worker], share: float) -> float:
        after = place(names, changed)
        return sum(before[name] != after[name] for name in names) / share

    fair = cameras / len(workers)
    more = [*workers, Worker("worker-new", float(room))]
    less = [replace(workers[0], capacity=0.9 * room), *workers[1:]]
    return Churn(len(workers), moved(workers[1:], fair), moved(more, cameras / len(more)), moved(less, fair), seconds)


@dataclass(frozen=True)
class Year:
    """A simulated year. `missed`: seconds without an owner, of a camera; `crowded`: share of the year in which cameras
    stood on workers without room; `moves` of a camera."""

    failures: int
    most_at_once: int
    missed: float
    moves: float
    crowded: float


def year(cameras: int, room: int, spare: float, seed: int = 0) -> Year:
    """Workers fail independently, and come back. Each failure leaves its cameras without an owner until it counts as
    dead; what others hold meanwhile and give back are moves without a gap."""
    rng = random.Random(seed)
    names = {f"camera{index}": NO_LABELS for index in range(cameras)}
    workers = fleet(cameras, room, spare)
    end = DAYS * DAY
    events: list[tuple[float, str, bool]] = []
    for worker in workers:
        now = rng.expovariate(FAILURES_A_YEAR / end)
        while now < end:
            back = now + rng.expovariate(1 / REPAIRED_IN)
            events += [(now, worker.name, False), (back, worker.name, True)]
            now = back + rng.expovariate(FAILURES_A_YEAR / end)
    placed: dict[frozenset[str], list[str | None]] = {}  # the same few workers are down again and again

    def owners_without(down: set[str]) -> list[str | None]:
        key = frozenset(down)
        if key not in placed:
            placed[key] = list(place(names, [worker for worker in workers if worker.name not in key]).values())
        return placed[key]

    down: set[str] = set()
    owners = owners_without(down)
    last = missed = crowded = 0.0
    moves = failures = most = 0
    for now, name, returns in sorted(events):
        if now >= end:
            break
        if sum(worker.capacity for worker in workers if worker.name not in down) < cameras:
            crowded += now - last
        last = now
        if returns:
            down.discard(name)
        else:
            down.add(name)
            failures += 1
            most = max(most, len(down))
            missed += DEAD * owners.count(name)
        after = owners_without(down)
        moves += sum(one != other for one, other in zip(owners, after, strict=True))
        owners = after
    return Year(failures, most, missed / cameras, moves / cameras, crowded / end)


@dataclass(frozen=True)
class Traffic:
    """Messages a second to one broker, and those that it delivers."""

    beats_in: float
    beats_out: float
    scores_in: float
    scores_out: float
    checkpoints: float  # MB a second, in


def traffic(cameras: int, workers: int, subscribers: int = 1) -> Traffic:
    """Every worker hears every beat; `subscribers` hear every score."""
    beats = workers / BEAT_EVERY
    scores = cameras * CLIPS_A_SECOND
    return Traffic(beats, beats * workers, scores, scores * subscribers, cameras * CHECKPOINT / KEPT_EVERY / 1e6)


@dataclass(frozen=True)
class Load:
    """What is sent to the broker: each of `clients` sends two messages a second, and hears all unless `kept`."""

    name: str
    clients: int
    qos: int
    payload: int
    kept: bool = False  # retained, and read by nobody until a camera moves


LOADS: Final = (
    Load("beats", 4, 1, 250),
    Load("beats", 16, 1, 250),
    Load("beats", 48, 1, 250),
    Load("scores", 48, 0, 120),
    Load("checkpoints", 16, 1, 175_000, kept=True),
)


@dataclass(frozen=True)
class BrokerCost:
    """Messages a second (delivered, or else kept), and the processor time of Mosquitto for each, receipt included."""

    rate: float
    microseconds: float


def broker_cost(load: Load, seconds: float) -> BrokerCost:
    """Measure a real Mosquitto."""
    from tests.servers.mosquitto import Mosquitto

    received = [0] * load.clients
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder)).running() as broker:
        connected = [_client(broker.port, index, received, load.qos) for index in range(load.clients)]
        assert broker.process is not None
        process = psutil.Process(broker.process.pid)
        body = b"x" * load.payload
        topic = "kept" if load.kept else "heard"
        sent = 0
        time.sleep(1.0)  # the subscriptions
        before, heard, began = process.cpu_times(), sum(received), time.monotonic()
        while time.monotonic() - began < seconds:
            turn = time.monotonic()
            for index, client in enumerate(connected):
                client.publish(f"{topic}/{index}", body, load.qos, retain=load.qos == 1)
                sent += 1
            time.sleep(max(0.0, BEAT_EVERY - (time.monotonic() - turn)))
        after, took = process.cpu_times(), time.monotonic() - began
        messages = sent if load.kept else sum(received) - heard
        for client in connected:
            client.loop_stop()
            client.disconnect()
    spent = after.user + after.system - before.user - before.system
    return BrokerCost(messages / took, 1e6 * spent / max(1, messages))


def _client(port: int, index: int, received: list[int], qos: int) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"worker-{index}")

    def hear(*_: object) -> None:
        received[index] += 1

    client.on_message = hear
    client.connect("127.0.0.1", port)
    client.subscribe("heard/#", qos)
    client.loop_start()
    return client


def main() -> None:
    """Print every table of docs/scale.md that is computed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", type=float, metavar="SECONDS", help="measure a real Mosquitto, for each size")
    parser.add_argument("--most", type=int, default=CAMERAS[-1], help="largest number of cameras")
    given = parser.parse_args()
    sizes = [cameras for cameras in CAMERAS if cameras <= given.most]
    print("| cameras | worker | spare | workers | lost: moved / its share | joined | 10 % slower | placement, s |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for cameras in sizes:
        for kind, room in ROOM.items():
            for spare in SPARE:
                found = churn(cameras, room, spare)
                print(
                    f"| {cameras:,} | {kind} | {spare:.0%} | {found.workers} | {found.lost:.2f} | {found.joined:.2f} | "
                    f"{found.slower:.2f} | {found.seconds:.3f} |", flush=True,
                )  # fmt: skip
    print("\n| cameras | worker | spare | failures a year | most at once | missed, s a camera | moves | crowded |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for cameras in sizes:
        for kind, room in list(ROOM.items())[1:] if cameras > 1_000 else ROOM.items():
            for spare in SPARE:
                lived = year(cameras, room, spare)
                print(
                    f"| {cameras:,} | {kind} | {spare:.0%} | {lived.failures} | {lived.most_at_once} | "
                    f"{lived.missed:.0f} | {lived.moves:.1f} | {lived.crowded:.2%} |", flush=True,
                )  # fmt: skip
    print("\n| cameras | worker | workers | beats in, out /s | scores in, out /s | checkpoints, MB/s |")
    print("|---:|---|---:|---:|---:|---:|")
    for cameras in sizes:
        for kind, room in ROOM.items():
            workers = len(fleet(cameras, room, 0.1))
            sent = traffic(cameras, workers)
            print(
                f"| {cameras:,} | {kind} | {workers} | {sent.beats_in:,.0f}, {sent.beats_out:,.0f} | "
                f"{sent.scores_in:,.0f}, {sent.scores_out:,.0f} | {sent.checkpoints:,.0f} |"
            )
    if given.broker:
        print("\n| messages | clients | QoS | payload, bytes | messages /s | broker, µs each |")
        print("|---|---:|---:|---:|---:|---:|")
        for load in LOADS:
            cost = broker_cost(load, given.broker)
            print(
                f"| {load.name} | {load.clients} | {load.qos} | {load.payload:,} | {cost.rate:,.0f} | "
                f"{cost.microseconds:.1f} |", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
