"""Which workers a cluster needs; without Ray, what to install."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest


def node(name: str, host: str, *, cpus: float = 4, gpus: int = 0, alive: bool = True, **labels: str) -> dict[str, Any]:
    resources = {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}
    given = labels | {"ray.io/node-id": name}
    return {"NodeID": name, "NodeManagerHostname": host, "Alive": alive, "Resources": resources, "Labels": given}


def names(nodes: list[dict[str, Any]], taken: dict[str, str]) -> list[tuple[str, str]]:
    on_ray = pytest.importorskip("stream.cluster.on_ray", reason="needs mgfn-stream[cluster]")
    return [(share.worker, share.node) for share in on_ray.missing_shares(nodes, taken)]


def test_each_machine_has_a_worker_and_each_gpu() -> None:
    nodes = [node("n1", "hall"), node("n2", "yard", gpus=2), node("n3", "gone", alive=False)]
    assert names(nodes, {}) == [("hall-1", "n1"), ("yard-1", "n2"), ("yard-2", "n2")]


def test_workers_that_are_there_keep_their_names() -> None:
    nodes = [node("n1", "hall"), node("n2", "hall")]
    assert names(nodes, {"hall-1": "n2"}) == [("hall-2", "n1")]
    assert names(nodes, {"hall-1": "n2", "hall-2": "n1"}) == []
    assert names([node("n3", "hall")], {"hall-2": "n0"}) == [("hall-1", "n3")]


def test_labels_of_a_machine_are_those_of_its_worker() -> None:
    on_ray = pytest.importorskip("stream.cluster.on_ray", reason="needs mgfn-stream[cluster]")
    (share,) = on_ray.missing_shares([node("n1", "hall", net="yard")], {})
    assert share.labels == ("net=yard",)


@pytest.mark.slow
def test_without_ray_it_is_said_what_to_install() -> None:
    hide = "import sys; sys.modules['ray'] = None; from stream.cli.mgfn_stream import main; main()"
    flags = ["--rtsp", "rtsp://127.0.0.1/x", "--mqtt", "mqtt://127.0.0.1", "--cluster", "127.0.0.1:6379"]
    done = subprocess.run([sys.executable, "-c", hide, *flags], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--cluster 127.0.0.1:6379: needs Ray: pip install 'mgfn-stream[cluster]'" in done.stderr


def test_a_password_is_not_handed_to_the_command_lines_of_all_machines() -> None:
    flags = ["--rtsp", "door=rtsp://me:s3cret@127.0.0.1/x", "--mqtt", "mqtt://127.0.0.1", "--cluster", "local"]
    command = [sys.executable, "-m", "stream.cli", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--rtsp door: " in done.stderr
    assert "{MGFN_DOOR_PW}" in done.stderr
    assert "s3cret" not in done.stderr
