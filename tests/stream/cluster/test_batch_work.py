"""`mgfn-extract` and `mgfn-eval tables` on a real Ray cluster of two nodes with one core each."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from configs.atomic import PARTIAL
from tests.mgfn.evaluation.own import own_data
from tests.servers.processes import ended, until
from tests.servers.ray_cluster import RayCluster, ray_cluster
from tests.servers.rtsp import moving_pictures, write_video

pytest.importorskip("ray", reason="needs mgfn-stream[cluster]")
pytestmark = pytest.mark.slow

EXTRACT = [sys.executable, "-m", "stream.extract.cli"]
EVALUATE = [sys.executable, "-m", "mgfn.evaluation.cli", "tables"]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)


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


def test_features_are_those_of_one_machine_and_broken_videos_are_listed(
    cluster: RayCluster, archive: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    flags = [archive, "--bundle", tiny_bundle, "--backend", "openvino"]
    alone = run(*EXTRACT, *flags, "--out", tmp_path / "alone")
    spread = run(*EXTRACT, *flags, "--out", tmp_path / "spread", "--cluster", cluster.address)
    assert alone.returncode == spread.returncode == 1, spread.stderr
    for said in (alone.stderr, spread.stderr):
        listed = said.partition("1 of 3 videos failed:")[2].split("\n")[1]
        assert listed.startswith(f"  {archive}/garbage.mp4: not readable as video")
        assert "5 clips of 2 videos" in said
        assert "a: 2 clips, 8 of 40 frames in no clip" in said
    for name in ("a", "b"):
        one, two = (np.load(tmp_path / out / f"{name}.npy") for out in ("alone", "spread"))
        np.testing.assert_allclose(one, two, rtol=1e-6)
    again = run(*EXTRACT, *flags, "--out", tmp_path / "spread", "--cluster", cluster.address)
    assert "1 videos to extract, 2 already extracted" in again.stderr
    assert sorted(path.name for path in (tmp_path / "spread").iterdir()) == ["a.npy", "b.npy", "extract.json"]


def test_the_videos_of_a_node_that_is_killed_are_extracted_again_and_whole(
    cluster: RayCluster, tmp_path: Path, tiny_bundle: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    clips = 150
    video = write_video(tmp_path / "long.mp4", moving_pictures(16 * clips, 64, 64))
    for name in ("a", "b", "c"):
        shutil.copy(video, folder / f"{name}.mp4")
    lost = cluster.add_node()
    command = [*EXTRACT, folder, "--out", out, "--bundle", tiny_bundle, "--backend", "openvino", "--crops", "10"]
    command += ["--cluster", cluster.address]
    with ended(subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)) as process:
        until(lambda: len([*out.glob(f".*{PARTIAL}.npy")]) == 3, what="a task on each of the three nodes")
        cluster.kill(lost)
        assert not [*out.glob("[!.]*.npy")]
        said = process.communicate(timeout=200)[1]
    assert process.returncode == 0, said
    assert sorted(path.name for path in out.iterdir()) == ["a.npy", "b.npy", "c.npy", "extract.json"]
    features = [np.load(out / f"{name}.npy") for name in ("a", "b", "c")]
    assert len(features[0]) == clips
    assert all(np.array_equal(features[0], other) for other in features[1:])


def test_a_table_on_a_cluster_has_the_figures_of_one_machine(cluster: RayCluster, tmp_path: Path) -> None:
    flags = [*own_data(tmp_path), "--rows", "svm,gods", "--seeds", "2", "--steps", "30"]
    alone = run(*EVALUATE, *flags, "--out", tmp_path / "alone")
    spread = run(*EVALUATE, *flags, "--out", tmp_path / "spread", "--cluster", cluster.address)
    assert alone.returncode == spread.returncode == 0, spread.stderr
    texts = [(tmp_path / name / "tables.md").read_text() for name in ("alone", "spread")]
    figures = [[line.split("|")[1:4] for line in text.splitlines() if "|" in line] for text in texts]
    assert figures[0] == figures[1]
    shutil.rmtree(next((tmp_path / "spread" / "runs").glob("gods-1-*")))
    again = run(*EVALUATE, *flags, "--out", tmp_path / "spread", "--cluster", cluster.address)
    assert "4 runs, 3 of them finished earlier" in again.stderr


def refused(archive: Path, address: str, *flags: str) -> str:
    """What the command says in its only line."""
    done = run(*EXTRACT, archive, "--out", archive / "out", "--cluster", address, *flags)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert not (archive / "out").exists()
    return line.removeprefix("cli.py: ")


@pytest.mark.parametrize(
    ("address", "flags", "says"),
    [
        ("ray://127.0.0.1:10001", [], "ray:// is for interactive use; give HOST:PORT of the head, without it"),
        ("somewhere", [], "--cluster somewhere: must be HOST:PORT of a Ray head, or local"),
        ("127.0.0.1:1", [], "--cluster 127.0.0.1:1: no Ray head answers there: Connection refused"),
        ("127.0.0.1:123456", [], "must be HOST:PORT"),
        ("local", ["--workers", "2"], "--workers: not with --cluster"),
        ("local", ["--device", "cuda:1"], "--device cuda:1: with --cluster it must be auto, cpu or cuda"),
    ],
)
def test_wrong_use(archive: Path, address: str, flags: list[str], says: str) -> None:
    assert says in refused(archive, address, *flags)


def test_a_server_that_is_no_ray_head(archive: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert "something listens there, but it is no Ray head" in refused(archive, address)


def test_a_cluster_without_a_gpu(cluster: RayCluster, archive: Path) -> None:
    says = refused(archive, cluster.address, "--device", "cuda")
    assert says == f"--device: the cluster {cluster.address} has no GPU"


def test_a_head_of_another_version(cluster: RayCluster, archive: Path, tiny_bundle: Path) -> None:
    from ray._raylet import GcsClient

    client = GcsClient(address=cluster.address)
    before = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster")
    other = json.dumps(json.loads(before) | {"ray_version": "2.9.0"}).encode()
    client.internal_kv_put(b"CLUSTER_METADATA", other, True, b"cluster")
    try:
        assert "Ray version mismatch: cluster has Ray version 2.9.0 but" in refused(archive, cluster.address)
    finally:
        client.internal_kv_put(b"CLUSTER_METADATA", before, True, b"cluster")


def test_without_ray(archive: Path, tmp_path: Path) -> None:
    without = "import sys; sys.modules['ray'] = None; from {} import main; main()"
    extract = [archive, "--out", tmp_path / "out"]
    for module, flags in (("stream.extract.cli", extract), ("mgfn.evaluation.cli", ["tables", *own_data(tmp_path)])):
        command = [sys.executable, "-c", without.format(module), *flags, "--cluster", "local"]
        done = run(*command, *(["--out", tmp_path / "table"] if "tables" in flags else []))
        assert done.returncode == 2
        assert done.stderr.strip().endswith(
            "--cluster: Ray is not installed; run: pip install 'mgfn-stream[cluster]'"
        ), done.stderr
