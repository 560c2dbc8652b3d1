"""A Ray cluster of several nodes on this machine, for tests; its processes are ended by their own ids."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.processes import until

# without a token, and by environment, so that the commands under test see the same
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


class RayCluster:
    """The head and nodes with one core each; `address` is what `--cluster` takes."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add_node(self, cores: int = 1) -> Any:
        return self._cluster.add_node(num_cpus=cores)

    def kill_head(self) -> None:
        """End all processes of the head at once."""
        self._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)

    def kill(self, node: Any) -> None:
        """End all processes of a node at once, as a power failure would."""
        self._cluster.remove_node(node, allow_graceful=False)


@contextmanager
def ray_cluster(cores: int = 1) -> Iterator[RayCluster]:
    """A head with `cores`. Ray gives a node 30 s to start, which a busy machine may not keep: it is tried again."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    head = {"num_cpus": cores, "include_dashboard": False, "temp_dir": str(folder)}
    started: list[Any] = []

    def start() -> bool:
        cluster = Cluster()
        try:
            cluster.add_node(**head)
        except Exception as error:
            cluster.shutdown()
            if "timed out" not in str(error):
                raise
            return False
        started.append(cluster)
        return True

    try:
        until(start, 150, "a Ray head")
        yield RayCluster(started[0])
    finally:
        for cluster in started:
            cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        for name in ENVIRONMENT:
            os.environ.pop(name)
        os.environ.update({name: value for name, value in before.items() if name in ENVIRONMENT})
