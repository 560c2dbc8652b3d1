"""`--cluster ADDRESS`: one worker for each GPU, or else for each machine, on the machines of a Ray cluster.

Ray places the workers, starts them and reports their health. It carries no frame, no score and no alarm: a worker is an
ordinary `mgfn-stream` with leases (`stream.cluster.leases`), which goes on while Ray is away.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stream.base.errors import StreamError, UsageError
from stream.base.log import log
from stream.cluster.ray_connection import connect
from stream.cluster.supervisor import Health, Supervisor

_NAMESPACE: Final = "mgfn-stream"
_LOOK_EVERY: Final = 2.0
_ANSWERED_WITHIN: Final = 60.0
_STOPPED_WITHIN: Final = 4.8
_OF_RAY: Final = "ray.io/"


@dataclass(frozen=True)
class Share:
    """Where a worker runs: a Ray node, and the GPUs that it takes. It takes no cores of Ray: batch work would wait for
    them for ever.
    """

    worker: str
    node: str  # id
    gpus: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """What to run. `flags` are those of each worker, `folder` holds the data of each, `config` is the site file."""

    address: str
    site: str  # the name of this cluster: `--node`
    flags: Sequence[str]
    folder: Path
    config: Path | None


def missing_shares(nodes: Sequence[Mapping[str, Any]], taken: Mapping[str, str]) -> Iterator[Share]:
    """One worker for each GPU, or for all cores of a machine without one, as far as they are missing. `nodes` as
    `ray.nodes` lists them, `taken`: the nodes of the workers that are there.

    A worker is named after its machine, so it finds its data again after a restart of Ray.
    """
    used = set(taken)
    for node in sorted(nodes, key=lambda each: str(each["NodeID"])):
        resources = node["Resources"]
        cpus, gpus = float(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if not node["Alive"] or cpus + gpus == 0:
            continue
        host = str(node["NodeManagerHostname"])
        given = node.get("Labels") or {}
        labels = tuple(f"{key}={value}" for key, value in sorted(given.items()) if not key.startswith(_OF_RAY))
        for _ in range(max(1, gpus) - list(taken.values()).count(node["NodeID"])):
            name = next(each for each in map(f"{host}-{{}}".format, count(1)) if each not in used)
            used.add(name)
            yield Share(name, node["NodeID"], float(min(1, gpus)), labels)


class RayWorkers:
    """The workers of one cluster. Ray is connected."""

    def __init__(self, spread: Spread) -> None:
        self._spread = spread
        self._actors: dict[str, Any] = {}
        self._nodes: dict[str, str] = {}
        self._told: dict[str, Health] = {}

    @property
    def names(self) -> list[str]:
        return sorted(self._actors)

    def find(self) -> None:
        """The actors that an earlier run has made; their workers go on."""
        for each in ray.util.list_named_actors(all_namespaces=True):
            site, _, worker = str(each["name"]).rpartition("/")
            if each["namespace"] != _NAMESPACE or site != self._spread.site:
                continue
            with suppress(RayError, ValueError):
                actor = ray.get_actor(each["name"], _NAMESPACE)
                self._nodes[worker] = ray.get(actor.node.remote(), timeout=_LOOK_EVERY)
                self._actors[worker] = actor

    def begin(self) -> None:
        """Make an actor for each share that has none, and start its worker. Raises UsageError if a machine cannot read
        the site file, or reads another one.
        """
        made = {share: self._actor(share) for share in missing_shares(ray.nodes(), self._nodes)}
        try:
            self._check_site(made)
        except Exception:
            for actor in made.values():  # they are detached, and would hold their share for ever
                ray.kill(actor)
            raise
        expected = ",".join([*self._actors, *(share.worker for share in made)])
        flags = [*self._spread.flags, "--expected", expected]
        started = {share: actor.start.remote(flags, list(share.labels)) for share, actor in made.items()}
        for share, answer in started.items():
            health: Health = ray.get(answer, timeout=_ANSWERED_WITHIN)
            self._actors[share.worker], self._nodes[share.worker] = made[share], share.node
            log.info("worker", worker=share.worker, host=health.host, pid=health.pid, labels=list(share.labels))

    def _actor(self, share: Share) -> Any:
        return (
            ray.remote(Supervisor)
            .options(
                name=f"{self._spread.site}/{share.worker}",
                namespace=_NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                max_concurrency=4,
                num_cpus=0,
                num_gpus=share.gpus,
                scheduling_strategy=NodeAffinitySchedulingStrategy(share.node, soft=False),
            )
            .remote(share.worker, str(self._spread.folder))
        )

    def _check_site(self, made: Mapping[Share, Any]) -> None:
        config = self._spread.config
        if config is None:
            return
        ours = hashlib.sha256(config.read_bytes()).hexdigest()
        for share, actor in made.items():
            try:
                theirs = ray.get(actor.digest.remote(str(config.absolute())), timeout=_ANSWERED_WITHIN)
            except RayTaskError as error:
                raise UsageError(f"--config {config}: worker {share.worker} on {error.cause}") from None
            if theirs != ours:
                raise UsageError(
                    f"--config {config}: worker {share.worker} reads another file there: give all the same"
                )

    def look(self) -> None:
        """Report workers that have died or come back; start those of machines that have joined."""
        for worker, actor in list(self._actors.items()):
            try:
                health: Health = ray.get(actor.health.remote(), timeout=_LOOK_EVERY)
            except RayError as error:
                log.warning("worker's machine does not answer", worker=worker, reason=type(error).__name__)
                if isinstance(error, ActorDiedError) or not _alive(self._nodes[worker]):
                    del self._actors[worker], self._nodes[worker]  # its share is made again, once its machine is there
                continue
            before = self._told.get(worker, health)
            if health.pid is None and before.pid is not None:
                log.error("worker ended; it is started again", worker=worker, host=health.host, said=health.said)
            elif health.pid != before.pid:
                log.info("worker runs again", worker=worker, host=health.host, pid=health.pid)
            self._told[worker] = health
        try:
            self.begin()
        except (RayError, UsageError) as error:
            log.warning("worker not started; trying again", reason=str(error).splitlines()[0])

    def end(self) -> None:
        """Stop all workers, and remove their actors."""
        answers = [actor.stop.remote() for actor in self._actors.values()]
        ray.wait(answers, num_returns=len(answers), timeout=_STOPPED_WITHIN) if answers else None
        for actor in self._actors.values():
            ray.kill(actor)


def _alive(node: str) -> bool:
    return any(each["NodeID"] == node and each["Alive"] for each in ray.nodes())


def run_cluster(spread: Spread, stopped: threading.Event) -> None:
    """Run workers on a Ray cluster until stopped. Raises UsageError if there is none, StreamError if it is lost: the
    workers go on then.
    """
    connect(spread.address)
    workers = RayWorkers(spread)
    try:
        workers.find()
        workers.begin()
        log.info("cluster", address=spread.address, workers=workers.names)
        while not stopped.wait(_LOOK_EVERY):
            workers.look()
    except GetTimeoutError:
        raise StreamError(
            f"--cluster {spread.address}: a machine does not answer within {_ANSWERED_WITHIN:.0f} s"
        ) from None
    except Exception as error:
        if stopped.is_set() or isinstance(error, StreamError):
            raise
        raise StreamError(f"--cluster {spread.address}: lost ({type(error).__name__}); the workers go on") from None
    finally:
        if stopped.is_set():
            began = time.monotonic()
            workers.end()
            log.info("workers stopped", seconds=round(time.monotonic() - began, 1))
        ray.shutdown()
