"""A Ray cluster of several nodes on this machine, for tests; its processes are ended by their own ids."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

# without a token, at the usual priority; the commands under test inherit it
ENVIRONMENT: Final = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
_TRIES: Final = 5


class RayCluster:
    """A head and nodes; `address` is what `--cluster` takes."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add_node(self, cores: int = 1) -> Any:
        return _started(lambda: self._cluster.add_node(num_cpus=cores))

    def kill_head(self) -> None:
        """End all processes of the head at once."""
        self._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)

    def kill(self, node: Any) -> None:
        """End all processes of a node at once, as a power failure would."""
        self._cluster.remove_node(node, allow_graceful=False)


def _started(start: Callable[[], Any]) -> Any:
    """Ray gives a node 30 s to start, which a busy machine may not keep: it is tried again."""
    for left in reversed(range(_TRIES)):
        try:
            return start()
        except Exception as error:
            if not left or "timed out" not in str(error):
                raise
    raise AssertionError


@contextmanager
def ray_cluster(cores: int = 1) -> Iterator[RayCluster]:
    """A head with `cores`."""
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)  # Ray writes the newest cluster's address there
    head: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False, "temp_dir": str(folder)}

    def start() -> Any:
        cluster = Cluster()
        try:
            cluster.add_node(**head)
        except BaseException:
            cluster.shutdown()
            raise
        return cluster

    with patch.dict(os.environ, ENVIRONMENT):
        cluster = _started(start)
        try:
            yield RayCluster(cluster)
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
