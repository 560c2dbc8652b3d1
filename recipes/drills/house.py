"""The service under test: the real program on real servers, what it says over MQTT with times, and what it uses."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import psutil

from tests.servers.mosquitto import Mosquitto, Subscriber
from tests.servers.processes import free_port, until
from tests.servers.service import Running, running


class Ears(Subscriber):
    """A subscriber that knows when it heard what: (monotonic time, topic, payload)."""

    def __init__(self, port: int, topics: str = "mgfn/#") -> None:
        self.heard: list[tuple[float, str, str]] = []
        super().__init__(port, topics)

    def _on_message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        self.heard.append((time.monotonic(), message.topic, message.payload.decode("utf-8", "replace")))
        super()._on_message(client, data, message)

    def times(self, topic: str, payload: str | None = None, since: float = 0.0) -> list[float]:
        """When messages of a topic came, of those with that payload if one is given."""
        return [at for at, name, said in self.heard if name == topic and at >= since and payload in (None, said)]

    def wait(self, topic: str, payload: str | None = None, since: float = 0.0, seconds: float = 60.0) -> float:
        """When the first such message since then came."""
        until(lambda: self.times(topic, payload, since), seconds, f"{topic} {payload or ''}")
        return self.times(topic, payload, since)[0]

    def scores(self, camera: str, since: float = 0.0) -> list[float]:
        return self.times(f"mgfn/{camera}/score", None, since)

    def rate(self, camera: str, since: float, to: float) -> float:
        """Scores of a camera per second."""
        return len([at for at in self.scores(camera, since) if at < to]) / (to - since)


@dataclass(frozen=True)
class Usage:
    """What the service and its processes use: anonymous memory, MiB (not the rings of clips), threads, descriptors.
    `parent`: the memory of the service without the other processes.
    """

    memory: float
    parent: float
    threads: int
    files: int
    processes: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        parent = psutil.Process(pid)
        everyone = [parent, *parent.children(recursive=True)]
        own, *others = (_anonymous(process.pid) for process in everyone)
        threads, files = sum(p.num_threads() for p in everyone), sum(p.num_fds() for p in everyone)
        return cls(own + sum(others), own, threads, files, len(everyone))

    @classmethod
    def settled(cls, pid: int, times: int = 5) -> Usage:
        """The median of a few looks."""
        looks = []
        for _ in range(times):
            looks.append(cls.of(pid))
            time.sleep(0.3)
        return cls(*(statistics.median(getattr(look, name) for look in looks) for name in cls.__annotations__))


def _anonymous(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


@dataclass(frozen=True)
class House:
    """A running service with its broker, its subscriber and its page."""

    folder: Path
    service: Running
    ears: Ears
    broker: Mosquitto
    port: int

    @property
    def pid(self) -> int:
        return self.service.process.pid

    def health(self, timeout: float = 5.0) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=timeout)

    def camera(self, name: str) -> dict[str, Any]:
        """What /healthz says of a camera."""
        return dict(self.health().json()["cameras"][name])

    def decoders(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.pid).children() if "spawn_main" in str(p.cmdline())]

    @property
    def crashes(self) -> int:
        """Tracebacks in the log, and an end that nobody asked for."""
        return self.service.log.read_text().count("Traceback") + (self.service.process.poll() is not None)


@contextmanager
def house(
    folder: Path,
    bundle: Path,
    *arguments: object,
    env: dict[str, str] | None = None,
    program: str = "stream.cli",
    broker: Mosquitto | None = None,
) -> Iterator[House]:
    """`arguments` name the cameras; the rest is set here. Without `broker`, a Mosquitto of its own is started."""
    if broker is None:
        (folder / "mosquitto").mkdir()
        with (
            Mosquitto(folder / "mosquitto").running() as own,
            house(folder, bundle, *arguments, env=env, program=program, broker=own) as found,
        ):
            yield found
        return
    port, ears = free_port(), Ears(broker.port)
    given = ["--mqtt", broker.url, "--bundle", bundle, "--http", f"127.0.0.1:{port}", *arguments]
    try:
        with running(folder, *given, env=env, program=program) as service:
            yield House(folder, service, ears, broker, port)
    finally:
        ears.close()
