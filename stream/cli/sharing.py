"""The flags of `mgfn-stream` for instances that share their cameras."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import typer

from engine.engine import Engine
from stream.base.addresses import parse_sources
from stream.base.errors import UsageError
from stream.base.log import configure, log
from stream.cluster import joining
from stream.cluster.folder import FolderStore
from stream.cluster.leases import SharedLeases
from stream.settings.flags import Options
from stream.settings.settings import ServiceSettings
from stream.settings.site.watching import SiteWatcher

_ALONE = ("cluster", "data", "http")  # flags that a worker does not get, or not as they are


@dataclass(frozen=True)
class Sharing:
    """The flags as given. `worker` and `expected` are those with which `--cluster` starts a worker."""

    shard: str | None
    worker: str | None
    expected: str
    leases: Path | None
    labels: tuple[str, ...]
    cluster: str | None

    def check(self, given: Options, *, replay: bool, check: bool) -> None:
        """Raise UsageError for flags that cannot be used together."""
        flag = f"--shard {self.shard}" if self.shard else f"--cluster {self.cluster}" if self.cluster else ""
        if self.shard is not None and self.cluster is not None:
            raise UsageError("--shard, --cluster: both were given; use only one")
        if self.shard is not None:
            joining.shard(self.shard, given.node, self.labels)
        if flag and replay:
            raise UsageError(f"{flag}, --replay: both were given; a replay is not shared")
        if self.cluster is not None and check:
            raise UsageError("--cluster, --check: both were given; run --check on each machine, without --cluster")
        if flag and given.broker is None:
            raise UsageError(f"{flag}: needs a broker that all instances share: --mqtt URL")
        if not (flag or self.worker) and (self.leases is not None or self.labels):
            raise UsageError(f"{'--label' if self.labels else '--leases'}: only with --shard")
        if self.cluster is not None and self.labels:
            raise UsageError("--label: only with --shard; label the machines of a cluster with ray start --labels")
        if self.leases is not None:
            FolderStore(self.leases)

    @property
    def folder(self) -> str:
        """The name of the data folder in the state folder, so that several fit on one machine."""
        return "" if self.shard is None else f"shard-{self.shard.replace('/', '-of-')}"

    def joined(self, settings: ServiceSettings, engine: Engine, inner: SiteWatcher | None) -> SharedLeases | None:
        """The leases of this instance; None if it is alone."""
        if self.shard is not None:
            member = joining.shard(self.shard, settings.node, self.labels)
        elif self.worker is not None:
            member = joining.worker(self.worker, self.expected, settings.node, self.labels, engine)
        else:
            return None
        store = joining.on_broker(settings) if self.leases is None else FolderStore(self.leases)
        log.info("cameras are shared", worker=member.worker, leases=str(self.leases or "broker"))
        return joining.joined(member, settings, store, inner)


def run_workers(
    context: typer.Context,
    address: str,
    given: Options,
    config: Path | None,
    state: Path,
    alone: tuple[str | None, Path | None],
) -> None:
    """`--cluster`: run workers on the cluster until stopped. Raises UsageError."""
    http, save_calibration = alone
    if http is not None and http != "off":
        raise UsageError(f"--http {http}: not with --cluster; each worker serves its page on a free port from 8080 on")
    if save_calibration is not None:
        raise UsageError("--save-calibration: not with --cluster; workers keep what cameras learn")
    if find_spec("ray") is None:
        raise UsageError(f"--cluster {address}: needs Ray: pip install 'mgfn-stream[cluster]'")
    from stream.cluster.on_ray import Spread, run_cluster

    configure(list(given.secrets))
    stopped = threading.Event()
    handlers = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    flags = [*_flags(context), *(("--http", http) if http is not None else ())]
    folder = (given.data or state / "workers").absolute()
    try:
        run_cluster(Spread(address, given.node, [*flags, "--node", given.node], folder, config), stopped)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _flags(context: typer.Context) -> list[str]:
    """The flags of the command line for a worker, with absolute paths."""
    found: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in (*_ALONE, "node") or value is None or value is False or value in ("", []):
            continue
        if parameter.name == "rtsp":
            sources = zip(parse_sources(value), value, strict=True)
            value = [
                given if source.live else f"{source.name}={Path(source.url).absolute()}" for source, given in sources
            ]
        name = max(parameter.opts, key=len)
        for each in value if isinstance(value, list | tuple) else [value]:
            found += [name] if each is True else [name, str(each.absolute() if isinstance(each, Path) else each)]
    return found
