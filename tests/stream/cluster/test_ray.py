"""`--cluster` on a real Ray cluster of two nodes: a worker is killed, then the head, and a new one takes over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stream.cluster.worker_process import WorkerProcess
from tests.servers.mosquitto import Mosquitto
from tests.servers.processes import free_port, until
from tests.servers.ray_cluster import ray_cluster
from tests.servers.service import Running
from tests.stream.cluster.shards import CLIP, SCORES, Heard, made, make_video, online, write_site

pytest.importorskip("ray", reason="needs mgfn-stream[cluster]")
pytestmark = [pytest.mark.slow, pytest.mark.alone]  # in real time: a busy machine starts decoders late

CAMERAS = [f"cam{number}" for number in range(3)]
TAKEN_OVER_WITHIN = 15.0


@contextmanager
def on_cluster(folder: Path, site: Path, address: str) -> Iterator[Running]:
    """The command; it and its workers are ended by their own ids."""
    command = Running(folder, "--config", site, "--cluster", address, "--scores", folder / SCORES)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait(10)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Path]:
    """The folder of the workers, which outlive the command; what is left of them is killed."""
    folder = tmp_path / "data"
    yield folder
    for file in folder.glob("*.pid"):
        worker = WorkerProcess(file.stem, folder)
        if worker.pid is not None:
            os.kill(worker.pid, signal.SIGKILL)


def pids(folder: Path) -> dict[str, int | None]:
    return {file.stem: WorkerProcess(file.stem, folder).pid for file in folder.glob("*.pid")}


def status(broker: Mosquitto) -> dict[str, Any]:
    command = [sys.executable, "-m", "stream.cli", "cluster", "status", "--mqtt", broker.url, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return dict(json.loads(done.stdout))


def test_workers_outlive_each_other_the_head_and_the_command(
    tmp_path: Path, workers: Path, tiny_bundle: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    site = tmp_path / "site.yaml"
    write_site(site, mosquitto.url, tiny_bundle, make_video(tmp_path, 300), CAMERAS)
    heard = Heard(mosquitto.port)
    with ray_cluster() as ray:
        ray.add_node()
        with on_cluster(tmp_path, site, ray.address) as command:
            online(heard, CAMERAS)
            until(lambda: len(pids(workers)) == 2)
            told = status(mosquitto)
            assert told["workers"].keys() == pids(workers).keys()
            victim = max(told["workers"], key=lambda name: told["workers"][name]["cameras"])
            lost = [name for name, row in told["cameras"].items() if row["worker"] == victim]
            first = pids(workers)[victim]
            assert first is not None
            killed, epoch = time.monotonic(), time.time()
            os.kill(first, signal.SIGKILL)
            until(lambda: heard.scored(lost, killed, end_after=epoch + CLIP), TAKEN_OVER_WITHIN, "scores of the other")
            until(lambda: command.said("worker ended; it is started again"))
            until(lambda: heard.last(f"mgfn/worker/{victim}/available") == "online", 60, "the worker started again")
            ray.kill_head()
            before = pids(workers)
            assert command.process.wait(120) != 0
            since = time.monotonic()
            until(lambda: heard.scored(CAMERAS, since), 30, "scores without a head")
    with ray_cluster() as ray:
        ray.add_node()
        with on_cluster(made(tmp_path), site, ray.address) as command:
            until(lambda: command.said('"event": "cluster"'), 90, "the workers under a new head")
            assert pids(workers) == before  # the same processes
            assert command.stop(within=10) == 0
            until(lambda: not any(pids(workers).values()), 10, "the end of the workers")
    until(lambda: {heard.last(f"mgfn/worker/{name}/available") for name in before} == {"offline"})
    heard.assert_one_owner_at_a_time(tmp_path / SCORES)
    heard.close()


def test_a_site_file_that_a_machine_cannot_read_is_named(tmp_path: Path) -> None:
    from stream.base.errors import StreamError
    from stream.cluster.supervisor import Supervisor

    with suppress(FileNotFoundError):
        assert len(Supervisor("hall-1", str(tmp_path)).digest(__file__)) == 64
    with pytest.raises(StreamError, match="cannot read it: No such file"):
        Supervisor("hall-1", str(tmp_path)).digest(str(tmp_path / "site.yaml"))


def test_no_head_at_the_address_is_said_at_once(tmp_path: Path, mosquitto: Mosquitto) -> None:
    command = [sys.executable, "-m", "stream.cli", "--rtsp", "rtsp://127.0.0.1/x", "--mqtt", mosquitto.url]
    done = subprocess.run(
        [*command, "--cluster", f"127.0.0.1:{free_port()}"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert "no Ray head answers there" in done.stderr
    assert "Traceback" not in done.stderr
