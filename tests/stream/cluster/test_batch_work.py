"""`mgfn-extract` and `mgfn-eval tables` on a real Ray cluster of nodes with one core each."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from stream.base.errors import UsageError
from tests.mgfn.evaluation.own import own_data
from tests.servers.processes import ended, until
from tests.servers.ray_cluster import RayCluster, ray_cluster
from tests.servers.rtsp import moving_pictures, write_video

pytest.importorskip("ray", reason="needs mgfn-stream[cluster]")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXTRACT = [sys.executable, "-m", "stream.extract.cli"]
TABLES = [sys.executable, "-m", "mgfn.evaluation.cli", "tables"]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=400)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as started:
        started.add_node()
        yield started


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three videos, one of which is none."""
    folder = tmp_path / "archive"
    (folder / "deeper").mkdir(parents=True)
    write_video(folder / "a.mp4", moving_pictures(40))
    write_video(folder / "deeper" / "b.mp4", moving_pictures(50, 400, 224, seed=1))
    (folder / "garbage.mp4").write_bytes(b"no video" * 1000)
    return folder


def test_a_cluster_continues_an_extraction_and_lists_broken_videos_as_one_machine_does(
    cluster: RayCluster, archive: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    out = tmp_path / "out"
    flags = [archive, "--bundle", tiny_bundle, "--backend", "openvino", "--out", out]
    alone = run(*EXTRACT, *flags)
    before = {name: np.load(out / f"{name}.npy") for name in ("a", "b")}
    (out / "b.npy").unlink()
    spread = run(*EXTRACT, *flags, "--cluster", cluster.address)
    assert alone.returncode == spread.returncode == 1, spread.stderr
    for said in (alone.stderr, spread.stderr):
        assert f"1 of 3 videos failed:\n  {archive}/garbage.mp4: not readable as video" in said
        assert "b: 3 clips, 2 of 50 frames in no clip" in said
    assert "2 videos to extract, 1 already extracted" in spread.stderr
    assert "3 clips of 1 videos written" in spread.stderr
    np.testing.assert_allclose(np.load(out / "b.npy"), before["b"], rtol=1e-6)
    assert sorted(path.name for path in out.iterdir()) == ["a.npy", "b.npy", "extract.json"]


def test_a_cluster_continues_a_table_with_the_figures_of_one_machine(cluster: RayCluster, tmp_path: Path) -> None:
    flags = [*own_data(tmp_path), "--rows", "svm", "--seeds", "2", "--steps", "30"]
    alone = run(*TABLES, *flags, "--out", tmp_path / "alone")
    shutil.copytree(tmp_path / "alone", tmp_path / "spread")
    shutil.rmtree(next((tmp_path / "spread" / "runs").glob("svm-1-*")))
    spread = run(*TABLES, *flags, "--out", tmp_path / "spread", "--cluster", cluster.address)
    assert alone.returncode == spread.returncode == 0, spread.stderr
    assert "2 runs, 1 of them finished earlier" in spread.stderr
    texts = [(tmp_path / name / "tables.md").read_text() for name in ("alone", "spread")]
    figures = [[line.split("|")[1:5] for line in text.splitlines() if "|" in line] for text in texts]
    assert figures[0] == figures[1]


def test_what_ran_on_a_killed_node_runs_again_and_a_call_that_kills_its_process_is_lost(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """Three items on three nodes; then a node is killed, and one item ends its process at each try."""
    third = cluster.add_node()
    command = [sys.executable, "-m", "tests.stream.cluster.mapped", cluster.address, str(tmp_path)]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:

        def starts() -> int:
            return len([*tmp_path.iterdir()])

        until(lambda: starts() == 3, 400, "a call on each of the three nodes")
        cluster.kill(third)
        (tmp_path / "go").touch()
        results = json.loads(process.communicate(timeout=200)[0])  # and nothing that Ray says
    assert process.returncode == 0
    assert 1 in (results["a"], results["b"])  # this machine may have fewer cores than the cluster
    assert results["dies"].startswith("lost 4 times: ")
    tries = {name: len([*tmp_path.glob(f"{name}.*")]) for name in ("a", "b", "dies")}
    assert tries["dies"] == 4
    assert tries["a"] + tries["b"] in (2, 3)  # 2 if the killed node ran the item that dies anyway


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ray://127.0.0.1:10001", "ray:// is for interactive use; give HOST:PORT of the head, without it"),
        ("somewhere", "--cluster somewhere: must be HOST:PORT of a Ray head, or local"),
        ("127.0.0.1:1", "--cluster 127.0.0.1:1: no Ray head answers there: Connection refused"),
        ("127.0.0.1:123456", "must be HOST:PORT"),
        ("127.0.0.1:99999", "no Ray head answers there"),
    ],
)
def test_an_address_that_cannot_be_one_of_a_head(address: str, says: str) -> None:
    from stream.cluster.ray_connection import connect

    with pytest.raises(UsageError, match=says):
        connect(address)


def test_a_server_that_is_no_ray_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing, and a web server."""
    from stream.cluster import ray_connection

    monkeypatch.setattr(ray_connection, "_ANSWERS_WITHIN", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server, web_server() as port:
        for found in (server.getsockname()[1], port):
            with pytest.raises(UsageError, match="something listens there, but it does not answer as a Ray head"):
                ray_connection.connect(f"127.0.0.1:{found}")


@contextmanager
def web_server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join(10)


def test_a_head_of_another_version(cluster: RayCluster) -> None:
    from ray import _raylet

    from stream.cluster.ray_connection import connect

    client = _raylet.GcsClient(address=cluster.address)  # type: ignore[attr-defined]
    before = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster")
    other = json.dumps(json.loads(before) | {"ray_version": "2.9.0"}).encode()
    client.internal_kv_put(b"CLUSTER_METADATA", other, True, b"cluster")
    try:
        with pytest.raises(UsageError, match=r"Ray version mismatch: cluster has Ray version 2\.9\.0 but"):
            connect(cluster.address)
    finally:
        client.internal_kv_put(b"CLUSTER_METADATA", before, True, b"cluster")


def test_a_cluster_without_a_gpu(cluster: RayCluster, archive: Path) -> None:
    done = run(*EXTRACT, archive, "--out", archive / "out", "--cluster", cluster.address, "--device", "cuda")
    assert done.returncode == 2
    assert done.stderr == f"cli.py: --device: the cluster {cluster.address} has no GPU\n"
    assert not (archive / "out").exists()
